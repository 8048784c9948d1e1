package darumatest_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// TestCrashDrain sends SIGTERM: calls in flight end, nothing is left in doubt,
// and the next process goes on at once.
func TestCrashDrain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGTERM")
	}
	c := newCampaign(t)
	for i := range 3 {
		l := c.start(job{Kinds: []string{"drain"}, Alive: 3, Most: 3}, false)
		if _, ok := l.wait(20*time.Second, "command"); !ok {
			t.Fatalf("process %d works on nothing: %s", i+1, c.states())
		}
		if i > 0 {
			first := time.Since(l.begin)
			t.Logf("the next process began its first call %s after its start", first.Round(time.Millisecond))
			if first > 5*time.Second {
				t.Errorf("the next process took %s for its first call", first)
			}
		}
		stopped := time.Now()
		if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if _, ok := l.wait(20*time.Second, "end"); !ok {
			t.Error("it did not stop in order")
			l.kill()
		}
		if took := time.Since(stopped); took > 5*time.Second {
			t.Errorf("stopping took %s", took)
		}
		c.end(l)
	}
	c.finish()
	if sums := c.check(); sums.doubts > 0 || sums.replays > 0 {
		t.Errorf("%d calls were in doubt and %d made twice after a stop in order", sums.doubts, sums.replays)
	}
}

// TestCrashResume kills a process with many runs in flight and looks how soon
// the next one has gone on with each.
func TestCrashResume(t *testing.T) {
	runs, limit := 200, 5*time.Second
	if *killsFlag >= 300 {
		runs, limit = 1000, time.Second
	}
	c := newCampaign(t)
	j := job{Kinds: []string{"hold"}, Alive: runs, Most: runs}
	for i := range 2 {
		l := c.start(j, true)
		out := map[daruma.RunID]bool{}
		for len(out) < runs {
			r, ok := l.wait(60*time.Second, "command")
			if !ok {
				t.Fatalf("%d of %d runs are in flight: %s", len(out), runs, tail(l.said.String()))
			}
			out[r.Run] = true
		}
		took := time.Since(l.begin)
		l.kill()
		c.end(l)
		if i == 0 {
			continue
		}
		t.Logf("%d runs in flight at a kill: all have issued their next command %s after the start of the process", runs, took.Round(time.Millisecond))
		if took > limit {
			t.Errorf("it took %s, want %s", took, limit)
		}
	}
}

// TestCrashSync has a sync of the journal fail in the kernel's answer. The
// process must stop, and must not sync again what it cannot know to be there.
func TestCrashSync(t *testing.T) {
	if *storeFlag != "sqlite" {
		t.Skip("SKIPPED: the syncs are the server's")
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: a failing fsync needs strace, which is not installed")
	}
	if out, err := exec.Command(strace, "-f", "-o", os.DevNull, "-e", "inject=fsync:error=EIO", "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: strace does not work here: %v: %s", err, out)
	}
	c := newCampaign(t)
	work := job{Kinds: []string{"long", "burst"}, Alive: 4, Most: 1 << 20}
	l := c.start(work, false) // makes the file, and leaves it as a kill does
	if _, ok := l.wait(20*time.Second, "ready"); !ok {
		t.Fatal("the worker does not start")
	}
	l.wait(100 * time.Millisecond)
	l.kill()
	c.end(l)
	stopped := 0
	for n := 1; n <= 40 && stopped < max(4, min(*killsFlag/20, 12)); n += 1 + n/4 {
		log := filepath.Join(t.TempDir(), "strace")
		l := c.start(work, false, strace, "-f", "-y", "-qq", "-o", log,
			"-e", "trace=fsync,fdatasync", "-e", fmt.Sprintf("inject=fsync,fdatasync:error=EIO:when=%d", n))
		r, ok := l.wait(20*time.Second, "ready", "down")
		if ok && r.K == "ready" {
			r, ok = l.wait(2*time.Second, "down")
		}
		l.stdin.Close()
		for range l.got {
		}
		l.stop()
		l.busy.Wait()
		_ = l.cmd.Wait() // one that cannot open its file ends with an error
		b, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		var failed []string // and what was synced after it
		for line := range strings.Lines(string(b)) {
			// SQLite passes over the failure of a folder, as of a new file's.
			if strings.Contains(line, "runs.db") && (len(failed) > 0 && strings.Contains(line, "sync(") || strings.Contains(line, "INJECTED")) {
				failed = append(failed, line)
			}
		}
		if len(failed) == 0 {
			continue
		}
		if len(failed) > 1 {
			t.Errorf("after the sync that failed (the %dth of its thread) there were others:\n%s", n, strings.Join(failed, ""))
		}
		if !ok {
			if !strings.Contains(l.said.String(), "input/output error") && !strings.Contains(l.said.String(), "disk I/O") {
				t.Errorf("the process ended without saying why: %s", tail(l.said.String()))
			}
			continue // it failed to open the file
		}
		stopped++
	}
	t.Logf("%d times a sync failed under work", stopped)
	if stopped == 0 {
		t.Error("no sync failed under work")
	}
	c.finish()
	c.check()
}
