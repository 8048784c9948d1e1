package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/sqlite"
)

var memoryRuns = flag.Int("memory.runs", 1000, "how many parked runs TestMemory adds; the published figure is of 10000")

// TestMemory measures what parked runs cost a serving process: the resident
// memory after the first hundred, and after many more.
func TestMemory(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("measures /proc of a process for a while")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("daruma.yaml", "models:\n  primary: {script: s.txt, price: {free: true}}\ntools:\n  pay: {url: 'http://127.0.0.1:1/pay', effect: payment}\nagents:\n  desk: {models: [primary], tools: [pay]}\n")
	write("s.txt", "model primary\n  always\n    call pay {\"amount\":1}\n")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "daruma.yaml")
	cmd := exec.Command(self, "serve", "-c", config)
	cmd.Args[0] = "daruma"
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	parked := make(chan struct{}, 1<<16)
	read.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if strings.Contains(lines.Text(), "? parked") || strings.Contains(lines.Text(), "daruma owns") {
				parked <- struct{}{}
			}
		}
	})
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		read.Wait()
		cmd.Wait()
	})
	<-parked // it owns the journal now
	c, err := readConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	j, err := sqlite.Connect(t.Context(), c.Journal, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	shell, err := c.shell(starter{j}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const warm = 1000
	start := func(n int) {
		var starts sync.WaitGroup
		for w := range 16 {
			starts.Go(func() {
				for i := w; i < n; i += 16 {
					if _, err := shell.Start(context.Background(), agent.Start{Agent: "desk", Input: fmt.Sprint("pay ", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		starts.Wait()
		for range n {
			<-parked
		}
	}
	start(warm) // heap, stacks and page caches at their working size
	before := settled(t, cmd.Process.Pid)
	begun := time.Now()
	start(*memoryRuns)
	took := time.Since(begun)
	after := settled(t, cmd.Process.Pid)
	infos, err := j.Runs(t.Context(), daruma.Query{States: []daruma.RunState{daruma.ParkedState}, Limit: *memoryRuns + 2*warm})
	if err != nil || len(infos) != *memoryRuns+warm {
		t.Fatalf("%d runs are parked, %v; want %d", len(infos), err, *memoryRuns+warm)
	}
	t.Logf("%.1f MiB with %d parked runs, %.1f MiB with %d more (started and parked in %v)", mib(before), warm, mib(after), *memoryRuns, took.Round(time.Millisecond))
	if added := mib(after) - mib(before); added > 2 {
		t.Errorf("%d parked runs added %.1f MiB; want at most 2", *memoryRuns, added)
	}
	if mib(after) > 40 {
		t.Errorf("resident memory is %.1f MiB; want at most 40", mib(after))
	}
}

func mib(kib int) float64 { return float64(kib) / 1024 }

// settled returns the smallest resident memory in KiB seen within a while, so
// that what the runtime is about to give back does not count.
func settled(t *testing.T, pid int) int {
	t.Helper()
	least := 0
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for range 20 {
		<-tick.C
		if n := resident(t, pid); least == 0 || n < least {
			least = n
		}
	}
	return least
}

func resident(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n := 0
			fmt.Sscan(text, &n)
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}
