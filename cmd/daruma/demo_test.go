package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestDemo plays the demo as a newcomer would, a real kill included.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "demo", "--yes", "-o", "json")
	cmd.Args[0] = "daruma" // the test binary is the command under this name
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got demoResult
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got.Falls != 5 || got.Approvals != 1 || got.Kills != 1 || got.Refunds != 1 {
		t.Errorf("got %+v, want 5 falls, 1 approval, 1 kill, 1 refund", got)
	}
	if got.BareRefunds < 2 && got.BareEnd != "hang" {
		t.Errorf("the bare loop paid %d times and ended %q; want it to pay twice or hang", got.BareRefunds, got.BareEnd)
	}
}
