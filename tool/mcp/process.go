package mcp

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// process is a server that is a child of this process.
type process struct {
	cmd    *exec.Cmd
	stdin  *os.File
	stdout *os.File
	grace  time.Duration
	ended  chan struct{} // closed once it is reaped; err is set before
	err    error
}

// every are the variables that every program gets.
func every() []string {
	names := []string{"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR"}
	if runtime.GOOS == "windows" {
		names = append(names, "APPDATA", "LOCALAPPDATA", "HOMEDRIVE", "HOMEPATH", "PATHEXT", "PROCESSOR_ARCHITECTURE",
			"PROGRAMDATA", "PROGRAMFILES", "SYSTEMDRIVE", "SYSTEMROOT", "COMSPEC", "TEMP", "TMP", "USERNAME", "USERPROFILE")
	}
	return names
}

// environment is what a process gets: the variables that every program gets,
// where they are set, and its own.
func environment(own []string) []string {
	var env []string
	for _, name := range every() {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return append(env, own...)
}

// begin starts the process, which inherits the lock that is held. It returns
// once the program runs; whether it speaks MCP is another matter.
func begin(c *Config, log io.Writer, held *os.File) (*process, error) {
	if i := slices.IndexFunc(c.Env, func(v string) bool { return !strings.Contains(v, "=") || strings.HasPrefix(v, "=") }); i >= 0 {
		return nil, invalid(c, "env[%d] is no variable; accepted: NAME=value", i)
	}
	inRead, inWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer inRead.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		inWrite.Close()
		return nil, err
	}
	defer outWrite.Close()
	cmd := exec.Command(c.Command, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, environment(c.Env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inRead, outWrite, log
	cmd.WaitDelay = time.Second // a grandchild may hold standard error open
	group(cmd)
	if held != nil {
		cmd.ExtraFiles = []*os.File{held}
	}
	if err := cmd.Start(); err != nil {
		inWrite.Close()
		outRead.Close()
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return nil, invalid(c, "the program cannot be started: %w", err)
		}
		return nil, fmt.Errorf("the program cannot be started: %w", err)
	}
	p := &process{cmd: cmd, stdin: inWrite, stdout: outRead, grace: c.Grace, ended: make(chan struct{})}
	go func() { // ends with the process; stop waits for it
		p.err = cmd.Wait()
		// What it said last may still be in the pipe; a grandchild that holds
		// the other end must not keep the session alive.
		outRead.SetReadDeadline(time.Now().Add(time.Second))
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process: it closes its input, and where that does not help
// asks its group to end, and then ends it. It returns when the process is gone.
func (p *process) stop() {
	p.stdin.Close()
	for _, next := range []func(){func() { terminate(p.cmd) }, func() { kill(p.cmd) }} {
		if p.endsWithin(p.grace) {
			break
		}
		next()
	}
	<-p.ended
	p.stdout.Close()
}

func (p *process) endsWithin(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-p.ended:
		return true
	case <-timer.C:
		return false
	}
}
