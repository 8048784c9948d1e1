package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServeDiskFull fills the file system under daruma serve while a run is at
// work and another waits for its answer, frees it, and wants both to end
// within five seconds, by the same process.
func TestServeDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for seconds")
	}
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("SKIPPED: a full disk needs the right to mount one: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(disk, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	}()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("daruma.yaml", `
journal: `+filepath.Join(disk, "runs.db")+`
models:
  primary: {script: s.txt, price: {free: true}}
tools:
  pay: {url: "http://127.0.0.1:1/pay", effect: payment}
agents:
  desk: {models: [primary], tools: [pay]}
`)
	write("s.txt", `
model primary
  when last tool pay
    say "It was not paid."
  when input contains "pay"
    call pay {"amount":1}
  always
    delay 1s
    say "Good day"
`)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	daruma := func(args ...string) *exec.Cmd {
		cmd := exec.Command(self, args...)
		cmd.Args[0], cmd.Dir = "daruma", dir
		return cmd
	}
	var said bytes.Buffer
	serve := daruma("serve")
	serve.Stdout, serve.Stderr = &said, &said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	defer func() {
		_ = serve.Process.Signal(os.Interrupt)
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if t.Failed() {
			t.Logf("serve said:\n%s", said.String())
		}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	until := func(what string, longest time.Duration, ok func() bool) time.Duration {
		t.Helper()
		for began := time.Now(); ; <-tick.C {
			if ok() {
				return time.Since(began)
			}
			if time.Since(began) > longest {
				t.Fatalf("%s: not within %s", what, longest)
			}
		}
	}
	state := func(run, want string) func() bool {
		return func() bool {
			out, _ := daruma("runs", "--state", want).Output()
			return strings.Contains(string(out), run+" ")
		}
	}
	until("serve", 10*time.Second, func() bool {
		_, err := os.Stat(filepath.Join(disk, "runs.db.sock"))
		return err == nil
	})
	for _, args := range [][]string{{"run", "desk", "-i", "pay please", "--id", "waits", "--detach"}, {"run", "desk", "-i", "hello", "--id", "works", "--detach"}} {
		if out, err := daruma(args...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	until("the question", 10*time.Second, state("waits", "parked"))
	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for err = nil; err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
	_ = f.Close()
	// Room may be left in what the log has already: post until it is used up.
	refused := ""
	until("a refusal", 20*time.Second, func() bool {
		out, err := daruma("run", "desk", "-i", strings.Repeat("long ", 4000), "--detach").CombinedOutput()
		refused = string(out)
		return err != nil
	})
	if !strings.Contains(refused, "full") {
		t.Errorf("the refusal does not say that the disk is full: %s", refused)
	}
	<-time.After(2 * time.Second) // the answer of the model comes and cannot be kept
	if state("works", "completed")() {
		t.Log("the run had ended before the disk was full")
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	freed := time.Now()
	until("an answer taken", 5*time.Second, func() bool { return daruma("reject", "waits").Run() == nil })
	until("the run at work", 5*time.Second, state("works", "completed"))
	until("the run that waited", 5*time.Second, state("waits", "degraded"))
	if took := time.Since(freed); took > 5*time.Second {
		t.Errorf("both ended %s after space was freed, want 5s", took)
	} else {
		t.Logf("both ended %s after space was freed", took.Round(time.Millisecond))
	}
}
