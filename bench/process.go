package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// childCommand is the argument by which the command starts itself again.
const childCommand = "measure-in-this-process"

// measureOne does a task in a fresh folder, in one process, or in two with a
// kill -9 between them.
func measureOne(ctx context.Context, base string, t task) (result, error) {
	var err error
	if t.Dir, err = os.MkdirTemp(base, t.Contender+"-"); err != nil {
		return result{}, err
	}
	defer os.RemoveAll(t.Dir)
	if t.Measure == recovery {
		t.Phase = "hold"
		if err := holdAndKill(ctx, t); err != nil {
			return result{}, err
		}
		t.Phase = "resume"
	}
	p, err := start(ctx, t)
	if err != nil {
		return result{}, err
	}
	line, err := p.line()
	if waited := p.wait(); err == nil {
		err = waited
	}
	if err != nil {
		return result{}, p.explain(t, err)
	}
	var r result
	return r, json.Unmarshal(line, &r)
}

// holdAndKill starts the runs and kills the process with SIGKILL once each of
// them is in the middle of a step.
func holdAndKill(ctx context.Context, t task) error {
	p, err := start(ctx, t)
	if err != nil {
		return err
	}
	line, err := p.line()
	if err == nil && string(line) != "held" {
		err = fmt.Errorf("it said %q instead of held", line)
	}
	killed := p.cmd.Process.Kill()
	waited := p.wait()
	switch {
	case err != nil:
		return p.explain(t, fmt.Errorf("%w (%v)", err, waited))
	case killed != nil:
		return p.explain(t, killed)
	}
	return nil
}

// process is a child.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
	err   *bytes.Buffer
}

func start(ctx context.Context, t task) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	t.Began = time.Now()
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, self, childCommand, string(text)), err: new(bytes.Buffer)}
	p.cmd.Stderr = p.err
	p.cmd.WaitDelay = time.Second
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = bufio.NewReader(out)
	return p, p.cmd.Start()
}

// line reads the one line a child prints.
func (p *process) line() ([]byte, error) {
	line, err := p.out.ReadBytes('\n')
	return bytes.TrimSpace(line), err
}

func (p *process) wait() error {
	err := p.cmd.Wait()
	_ = p.stdin.Close() // only now: a child ends when its input does
	return err
}

func (p *process) explain(t task, err error) error {
	text := strings.TrimSpace(p.err.String())
	if len(text) > 600 {
		text = "... " + text[len(text)-600:]
	}
	return fmt.Errorf("%s, %s %s: %w: %s", t.Contender, t.Measure, t.Phase, err, text)
}
