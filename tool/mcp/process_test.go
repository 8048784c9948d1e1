//go:build unix

package mcp_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool/mcp"
)

// gone reports whether no process of this number is left; a zombie counts as
// gone, since nobody may reap the child of a process that was killed.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

func number(t testing.TB, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestStubbornServersEndToo: closing the input and SIGTERM do not help, so it
// is killed; and it is in a group of its own.
func TestStubbornServersEndToo(t *testing.T) {
	c, _ := child(t, "stubborn")
	c.Grace = 50 * time.Millisecond
	h := start(t, c)
	pid := number(t, h.call("pid", ""))
	if group, err := syscall.Getpgid(pid); err != nil || group != pid {
		t.Errorf("its group is %d, %v; want %d", group, err, pid)
	}
	h.Close()
	if !gone(pid) {
		t.Errorf("process %d lives on", pid)
	}
}

// TestOwner is the process that TestServerEndsWithItsOwner kills.
func TestOwner(t *testing.T) {
	lock := os.Getenv("OWNER_LOCK")
	if lock == "" {
		t.Skip("started by TestServerEndsWithItsOwner")
	}
	c, _ := child(t, os.Getenv("OWNER_MODE"))
	c.Lock = lock
	h := start(t, c)
	os.Stdout.WriteString("pid " + h.call("pid", "") + "\n")
	select {}
}

// TestServerEndsWithItsOwner: the owner dies by SIGKILL. A server that minds
// its input ends, and the next start waits for that; one that does not is found
// by its lock, and the start says so.
func TestServerEndsWithItsOwner(t *testing.T) {
	for mode, ends := range map[string]bool{"good": true, "stubborn": false} {
		t.Run(mode, func(t *testing.T) {
			lock := t.TempDir() + "/lock"
			owner := exec.Command(os.Args[0], "-test.run=^TestOwner$")
			owner.Env = append(os.Environ(), "OWNER_LOCK="+lock, "OWNER_MODE="+mode, "TMPDIR="+t.TempDir())
			out, err := owner.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := owner.Start(); err != nil {
				t.Fatal(err)
			}
			var said strings.Builder
			for b := make([]byte, 100); !strings.Contains(said.String(), "\n"); {
				n, err := out.Read(b)
				said.Write(b[:n])
				if err != nil {
					t.Fatalf("%v after %q", err, said.String())
				}
			}
			pid := number(t, strings.TrimPrefix(strings.TrimSpace(said.String()), "pid "))
			owner.Process.Kill()
			owner.Wait()
			c, _ := child(t, "good")
			c.Lock, c.StartTimeout = lock, 10*time.Second
			if !ends {
				c.StartTimeout = 300 * time.Millisecond
			}
			server, err := mcp.Start(context.Background(), c)
			if err == nil {
				server.Close()
			}
			switch {
			case ends && err != nil:
				t.Errorf("the next start: %v", err)
			case !ends && (daruma.KindOf(err) != daruma.KindUnavailable || !strings.Contains(err.Error(), "it still holds "+lock)):
				t.Errorf("the next start: %v", err)
			case gone(pid) != ends:
				t.Errorf("process %d is gone: %v, want %v", pid, gone(pid), ends)
			}
			if !ends {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		})
	}
}

// TestLocksOfServersThatStartTogether: a fork for one server holds what another
// is about to hand over, until it becomes its program.
func TestLocksOfServersThatStartTogether(t *testing.T) {
	const servers = 12
	errs := make(chan error, servers)
	for range servers {
		c, _ := child(t, "good")
		c.Lock = t.TempDir() + "/lock"
		go func() {
			server, err := mcp.Start(context.Background(), c)
			if err == nil {
				server.Close()
			}
			errs <- err
		}()
	}
	for range servers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}
