package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/sqlite"
)

//go:embed demo.txt
var demoScript []byte

type demoCommand struct {
	Yes  bool   `short:"y" help:"Approve the refund without asking."`
	Keep string `placeholder:"DIR" help:"Keep journal, configuration, script and ledger in this folder, to look at and to fork."`
}

// demoResult is counted by the ledgers: falls and approvals by the journal,
// refunds by the payment service, kills by the operating system.
type demoResult struct {
	Falls       int             `json:"falls"`
	Approvals   int             `json:"approvals"`
	Kills       int             `json:"kills"`
	Refunds     int             `json:"refunds"`
	BareRefunds int             `json:"bare_refunds"`
	BareEnd     string          `json:"bare_end"`
	State       daruma.RunState `json:"state"`
	Answer      string          `json:"answer"`
	Seconds     float64         `json:"seconds"`
}

const (
	demoRun   = "demo"
	demoInput = "Please refund order A-17."
)

// Run performs daruma demo.
func (cmd *demoCommand) Run(ctx context.Context, p *program) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("the demo takes too long"))
	defer cancel()
	dir := cmd.Keep
	if dir == "" {
		d, err := os.MkdirTemp("", "daruma-demo-")
		if err != nil {
			return daruma.Fail("demo", daruma.KindExhausted, "%w", err)
		}
		dir = d
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return daruma.Fail("demo", daruma.KindInvalid, "%w", err)
	} else if _, err := os.Stat(filepath.Join(dir, "daruma.db")); err == nil {
		return daruma.Fail("demo", daruma.KindInvalid, "keep: %s holds a journal already; accepted: an empty folder", dir)
	}
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs // the configuration names the journal, from wherever it is read
	}
	d := &demo{p: p, dir: dir, yes: cmd.Yes, keep: cmd.Keep != ""}
	started := time.Now()
	result, err := d.play(ctx)
	if err != nil {
		return err
	}
	result.Seconds = time.Since(started).Round(10 * time.Millisecond).Seconds()
	if p.Output == "json" {
		if err := p.writeJSON(result); err != nil {
			return err
		}
	} else {
		d.sum(result)
		if cmd.Keep != "" {
			d.invite()
		}
	}
	if result.State == daruma.Degraded {
		return nil // the refund was not approved, and the answer says so
	}
	return stateCode(result.State)
}

// demo plays the story: this process is the provider and the payment service,
// a child process is the agent.
type demo struct {
	p    *program
	dir  string
	yes  bool
	keep bool
	addr string // of the world

	mu    sync.Mutex
	child *exec.Cmd // the agent's process, nil between two
	kill  bool      // the next refund is followed by SIGKILL
	kills int
}

func (d *demo) play(ctx context.Context) (*demoResult, error) {
	world, err := newDemoWorld(ctx, d.afterRefund)
	if err != nil {
		return nil, err
	}
	defer world.close()
	if d.keep {
		if err := d.keepWorld(world); err != nil {
			return nil, err
		}
	}
	if err := d.configure(world.url); err != nil {
		return nil, err
	}
	config := filepath.Join(d.dir, configFile)
	d.say("an agent is asked: %q\n", demoInput)
	d.kill = true
	approvals := make(chan error, 1)
	inner, stop := context.WithCancel(ctx)
	go func() { approvals <- d.approve(inner) }()
	err = d.run(ctx, "run", "desk", "--id", demoRun, "--input", demoInput, "-c", config)
	if d.killed(err) {
		d.say("\n  ☠ the process was killed with SIGKILL right after the money moved; starting it again\n\n")
		err = d.run(ctx, "resume", demoRun, "-c", config)
	}
	stop()
	if e := <-approvals; e != nil && err == nil {
		err = e
	}
	if err != nil && ctx.Err() != nil {
		return nil, daruma.Fail("demo", daruma.KindTimeout, "%w", context.Cause(ctx))
	}
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return nil, err
	}
	result := &demoResult{Kills: d.kills, Refunds: world.refunds()}
	if err := d.count(ctx, result); err != nil {
		return nil, err
	}
	return result, d.bare(ctx, result)
}

// count reads the journal.
func (d *demo) count(ctx context.Context, result *demoResult) error {
	j, err := sqlite.OpenReader(ctx, filepath.Join(d.dir, "daruma.db"))
	if err != nil {
		return err
	}
	defer j.Close()
	run, err := agent.Read(ctx, j, demoRun)
	if err != nil {
		return err
	}
	for _, f := range run.Falls() {
		if f.Caught {
			result.Falls++
		}
	}
	for e, err := range j.Events(ctx, demoRun, 0) {
		if err != nil {
			return err
		}
		if p := read[daruma.Post](e); e.Kind == daruma.KindReceived && p.Topic == daruma.TopicApproval {
			result.Approvals++
		}
	}
	result.State = run.State()
	if f := run.Finished(); f != nil {
		result.Answer = f.Answer
	}
	return nil
}

// configure writes an ordinary configuration for the child.
func (d *demo) configure(url string) error {
	text := fmt.Sprintf(`# written by daruma demo: an ordinary configuration
journal: %[2]s
models:
  primary: {url: %[1]s/v1, price: {free: true}}
  backup: {url: %[1]s/v1, price: {free: true}}
tools:
  lookup:
    url: %[1]s/tools/lookup
    description: Finds an order and what was paid for it
    schema: {type: object, properties: {order: {type: string}}, required: [order], additionalProperties: false}
    effect: read
  refund:
    url: %[1]s/tools/refund
    description: Pays money back to the customer
    schema: {type: object, properties: {order: {type: string}, amount: {type: number}}, required: [order, amount], additionalProperties: false}
    effect: payment
agents:
  desk:
    instructions: You handle refunds. Look the order up first.
    models: [primary, backup]
    tools: [lookup, refund]
`, url, strconv.Quote(filepath.Join(d.dir, "daruma.db")))
	if err := os.WriteFile(filepath.Join(d.dir, configFile), []byte(text), 0o600); err != nil {
		return daruma.Fail("demo", daruma.KindExhausted, "%w", err)
	}
	return nil
}

// run performs daruma in a child process and passes its story on.
func (d *demo) run(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return daruma.Fail("demo", daruma.KindInternal, "%w", err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "daruma" // whatever the file is called
	cmd.Env = append(os.Environ(), "DARUMA_JOURNAL="+filepath.Join(d.dir, "daruma.db"))
	out, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return daruma.Fail("demo", daruma.KindInternal, "%w", err)
	}
	d.mu.Lock()
	d.child = cmd
	d.mu.Unlock()
	var printed sync.WaitGroup
	printed.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := lines.Text(); !strings.Contains(text, "daruma approve") {
				d.say("%s\n", text)
			}
		}
	})
	err = cmd.Wait()
	w.Close()
	printed.Wait()
	d.mu.Lock()
	d.child = nil
	d.mu.Unlock()
	return err
}

// killed reports whether the child died by SIGKILL.
func (d *demo) killed(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if ok && exit.ExitCode() == -1 && !d.kill {
		d.kills++
		return true
	}
	return false
}

// afterRefund kills the agent once, when the refund has been paid and the
// agent does not know it yet. It reports whether it did.
func (d *demo) afterRefund() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.kill || d.child == nil {
		return false
	}
	d.kill = false
	return d.child.Process.Kill() == nil
}

// approve waits for the approval and gives it, asking where a person is there.
func (d *demo) approve(ctx context.Context) error {
	path := filepath.Join(d.dir, "daruma.db")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		j, err := sqlite.Dial(ctx, path)
		if err != nil {
			continue // the child has not opened it yet, or is being started again
		}
		open, err := j.Approvals(ctx, demoRun)
		if err == nil && len(open) > 0 {
			err = agent.Decide(ctx, j, open[0].ID, d.ask(open[0]), d.p.actor(), "daruma demo")
			j.Close()
			return err
		}
		j.Close()
	}
}

// ask asks the person at the terminal; without one, or with --yes, it is yes.
func (d *demo) ask(a daruma.Approval) bool {
	if d.yes || !terminal(d.p.in) || d.p.Output == "json" {
		d.say("    approved for you: %s(%s)\n", a.Tool, a.Args)
		return true
	}
	fmt.Fprintf(d.p.out, "    %s(%s) moves money. Approve? [y/N] ", a.Tool, a.Args)
	line, _ := bufio.NewReader(d.p.in).ReadString('\n') // no answer is no
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y")
}

// say prints a line of the story, unless only the result was asked for.
func (d *demo) say(format string, args ...any) {
	if d.p.Output != "json" {
		fmt.Fprintf(d.p.out, format, args...)
	}
}

func (d *demo) sum(r *demoResult) {
	fmt.Fprintf(d.p.out, `
               falls caught  approvals  kills  refunds paid
  with Daruma  %12d  %9d  %5d  %12d
  bare loop    %12s  %9d  %5d  %12d
`, r.Falls, r.Approvals, r.Kills, r.Refunds, "-", 0, 1, r.BareRefunds)
}
