package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

// limitFlags raise limits of one run.
type limitFlags struct {
	Steps  *int           `placeholder:"N" help:"Limit of steps."`
	Time   *time.Duration `placeholder:"5m" help:"Limit of active time."`
	Tokens *int64         `placeholder:"N" help:"Limit of tokens."`
	Money  *float64       `placeholder:"USD" help:"Limit of money in US dollars."`
}

// limits returns the limits that were given; each must be more than 0.
func (f limitFlags) limits() (l daruma.Limits, err error) {
	refuse := func(name string, v any) {
		err = daruma.Fail("limits", daruma.KindInvalid, "--%s is %v; accepted: more than 0", name, v)
	}
	if v := f.Steps; v != nil {
		if l.Steps = *v; *v <= 0 {
			refuse("steps", *v)
		}
	}
	if v := f.Time; v != nil {
		if l.Time = daruma.Duration(*v); *v <= 0 {
			refuse("time", *v)
		}
	}
	if v := f.Tokens; v != nil {
		if l.Tokens = *v; *v <= 0 {
			refuse("tokens", *v)
		}
	}
	if v := f.Money; v != nil {
		if !(*v > 0 && *v < 9e9) {
			refuse("money", *v)
		} else {
			l.Money = daruma.Money(math.Round(*v * float64(daruma.Dollar)))
		}
	}
	return l, err
}

// enough refuses limits that the run has used up already.
func enough(l daruma.Limits, run *daruma.Run) error {
	const op = "limits"
	switch {
	case l.Steps > 0 && l.Steps <= run.Steps():
		return daruma.Fail(op, daruma.KindInvalid, "--steps is %d; accepted: more than the %d the run has taken", l.Steps, run.Steps())
	case l.Time > 0 && time.Duration(l.Time) <= run.Active():
		return daruma.Fail(op, daruma.KindInvalid, "--time is %s; accepted: more than the %s the run was active", l.Time, run.Active())
	case l.Tokens > 0 && l.Tokens <= run.Usage().Total():
		return daruma.Fail(op, daruma.KindInvalid, "--tokens is %d; accepted: more than the %d the run has used", l.Tokens, run.Usage().Total())
	case l.Money > 0 && l.Money <= run.Cost():
		return daruma.Fail(op, daruma.KindInvalid, "--money is %s; accepted: more than the %s the run has spent", l.Money, run.Cost())
	}
	return nil
}

type runCommand struct {
	Agent      string `arg:"" help:"Name of an agent in the configuration."`
	Input      string `short:"i" required:"" placeholder:"TEXT" help:"What the run is asked to do; - reads standard input."`
	ID         string `placeholder:"ID" help:"Name of the run; default a new one."`
	Key        string `placeholder:"KEY" help:"Start once: the same key again names the same run."`
	Detach     bool   `help:"Only start it; daruma resume, or the process that owns the journal, works on it."`
	NoWait     bool   `help:"Exit with 3 when the run is parked instead of waiting for the answer."`
	limitFlags `embed:""`
}

// Run performs daruma run.
func (cmd *runCommand) Run(ctx context.Context, p *program) error {
	if cmd.Input == "-" {
		b, err := io.ReadAll(io.LimitReader(p.in, 8<<20))
		if err != nil {
			return daruma.Fail("input", daruma.KindInvalid, "standard input: %w", err)
		}
		cmd.Input = string(b)
	}
	limits, err := cmd.limits()
	if err != nil {
		return err
	}
	start := agent.Start{ID: daruma.RunID(cmd.ID), Agent: cmd.Agent, Input: cmd.Input, Key: cmd.Key, Limits: limits}
	return p.work(ctx, work{start: &start, detach: cmd.Detach, noWait: cmd.NoWait})
}

type resumeCommand struct {
	ID         string `arg:"" optional:"" name:"run" help:"The run to go on with; default all that were left."`
	NoWait     bool   `help:"Exit with 3 when the run is parked instead of waiting for the answer."`
	limitFlags `embed:""`
}

// Run performs daruma resume.
func (cmd *resumeCommand) Run(ctx context.Context, p *program) error {
	limits, err := cmd.limits()
	if err != nil {
		return err
	}
	if limits != (daruma.Limits{}) && cmd.ID == "" {
		return daruma.Fail("resume", daruma.KindInvalid, "limits are raised for one run; accepted: daruma resume RUN --steps 20")
	}
	return p.work(ctx, work{run: daruma.RunID(cmd.ID), raise: limits, noWait: cmd.NoWait})
}

// work is what run, fork and resume ask for.
type work struct {
	start  *agent.Start
	fork   *agent.Fork
	run    daruma.RunID // empty with start nil: all runs that were left
	raise  daruma.Limits
	detach bool
	noWait bool
}

// work owns the journal and performs runs, or hands the work to the process
// that owns it and follows.
func (p *program) work(ctx context.Context, w work) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	sys, err := c.build()
	if err != nil {
		return err
	}
	if len(sys.agents) == 0 {
		return c.noAgents()
	}
	path, err := c.journalPath()
	if err != nil {
		return err
	}
	if w.start != nil && !slices.ContainsFunc(sys.agents, func(a agent.Agent) bool { return a.Name == w.start.Agent }) {
		return daruma.Fail("run", daruma.KindInvalid, "agent %q is unknown; accepted: %s", w.start.Agent, names(c.Agents))
	}
	db, remote, err := own(ctx, path)
	if err != nil {
		return err
	}
	if remote != nil {
		defer remote.Close()
		return p.handOver(ctx, c, remote, w)
	}
	defer db.Close()
	stop, err := p.startServers(ctx, c, true)
	if err != nil {
		return err
	}
	defer stop()
	t := &teller{p: p, only: w.run}
	shell, err := c.shell(db, t.observe)
	if err != nil {
		return err
	}
	if !w.rewinds() { // which needs a shell at work
		if err := p.begin(ctx, shell, db, &w, t); err != nil {
			return err
		}
		if err := t.born(ctx, db, w); err != nil {
			return err
		}
	}
	if w.detach {
		return p.detached(w.run, false)
	}
	return p.perform(ctx, shell, db, w, t)
}

// rewinds reports whether a run must come to its end before another begins.
func (w work) rewinds() bool { return w.fork != nil && w.fork.Replace }

// begin starts or forks the run, or raises the limits of one.
func (p *program) begin(ctx context.Context, shell *agent.Shell, j access, w *work, t *teller) error {
	if w.start != nil {
		id, err := shell.Start(ctx, *w.start)
		if daruma.KindOf(err) == daruma.KindExists && w.start.ID != "" {
			return hinted{err, fmt.Sprintf("daruma show %s tells what it did, daruma resume %s goes on with it; another --id, or none, starts a new run", w.start.ID, w.start.ID)}
		}
		if err != nil {
			return err
		}
		w.run = id
		t.only = id
	}
	if w.fork != nil {
		of, err := find(ctx, j, string(w.fork.Of))
		if err != nil {
			return err
		}
		w.fork.Of = of
		t.follow(w.fork.ID)
		id, err := shell.Fork(ctx, *w.fork)
		if daruma.KindOf(err) == daruma.KindExists {
			return hinted{err, fmt.Sprintf("daruma show %s tells what it did; another --id, or none, makes a new run", w.fork.ID)}
		}
		if err != nil {
			return err
		}
		w.run = id
		t.follow(id)
		return nil
	}
	if w.run != "" && w.start == nil {
		id, err := find(ctx, j, string(w.run))
		if err != nil {
			return err
		}
		w.run = id
		t.follow(id)
	}
	if w.raise != (daruma.Limits{}) {
		run, err := agent.Read(ctx, j, w.run)
		if err != nil {
			return err
		}
		if err := enough(w.raise, run); err != nil {
			return err
		}
		return agent.Raise(ctx, j, w.run, "", p.actor(), w.raise)
	}
	return nil
}

func (p *program) detached(id daruma.RunID, live bool) error {
	if p.Output == "json" {
		return p.writeJSON(map[string]any{"run": id, "live": live})
	}
	if live {
		fmt.Fprintf(p.out, "%s started; daruma show %s tells what it does\n", id, id)
	} else {
		fmt.Fprintf(p.out, "%s started; daruma resume works on it\n", id)
	}
	return nil
}

// perform runs the shell until the run has ended or waits for somebody.
func (p *program) perform(ctx context.Context, shell *agent.Shell, db owned, w work, t *teller) error {
	inner, cancel := context.WithCancel(ctx)
	works, over := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		err := shell.Run(inner)
		over()
		ended <- err
	}()
	var err error
	if w.rewinds() {
		err = p.begin(works, shell, db, &w, t)
	}
	if err == nil {
		err = acted(works, db, w.run)
	}
	if err == nil {
		err = p.await(ctx, shell, db, w, t)
	}
	stopped := ctx.Err() != nil
	if stopped {
		p.stop() // a second interrupt ends the process at once
		fmt.Fprintln(p.errors, "stopping: letting calls in flight end; interrupt again to stop now")
	}
	cancel()
	if e := <-ended; e != nil {
		return e
	}
	if stopped && daruma.KindOf(err) == daruma.KindCancelled {
		fmt.Fprintln(p.errors, "stopped; go on with: daruma resume", w.run)
		return exitCode(exitStopped)
	}
	return err
}

// acted returns once nothing that was posted to a run, or to any, waits to be
// acted on: until then the run may look parked though its answer has come.
// Posts that nobody takes are not waited for long.
func acted(ctx context.Context, j poster, run daruma.RunID) error {
	const every, longest = 10 * time.Millisecond, 5 * time.Second
	tick := time.NewTicker(every)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < longest; {
		posts, err := j.Posts(ctx, run)
		if ctx.Err() != nil {
			return nil // what happened is told by whoever waits for the run
		}
		if err != nil || len(posts) == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

func (p *program) await(ctx context.Context, shell *agent.Shell, j daruma.Reader, w work, t *teller) error {
	if w.run == "" {
		return p.awaitAll(ctx, shell, j)
	}
	tell := func(below []agent.Result) bool {
		t.stuck(below)
		return w.noWait
	}
	result, stopped, err := waitTree(ctx, j, w.run, shell.Wait, tell)
	if err == nil && !stopped && result.State == daruma.ParkedState && !w.noWait {
		t.parked(result)
		for err == nil && !result.State.Finished() && result.State != daruma.Quarantined {
			result, _, err = waitTree(ctx, j, w.run, shell.WaitFinished, tell)
		}
	}
	if err != nil {
		return err
	}
	t.flush()
	return p.result(result)
}

// awaitAll works on everything that was left, until each run has ended or is
// parked.
func (p *program) awaitAll(ctx context.Context, shell *agent.Shell, j daruma.Reader) error {
	infos, err := j.Runs(ctx, daruma.Query{Type: daruma.AgentRun, States: []daruma.RunState{daruma.Running, daruma.Waiting, daruma.ParkedState}, Limit: 10_000})
	if err != nil {
		return err
	}
	var results []agent.Result
	for _, info := range infos {
		r, _, err := waitTree(ctx, j, info.ID, shell.Wait, func([]agent.Result) bool { return true })
		if err != nil {
			return err
		}
		results = append(results, r)
		if p.Output != "json" {
			fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf("%s  %-9s  %s", r.Run, r.State, printable(short(r.Note))), " "))
			for _, line := range nextSteps(r) {
				fmt.Fprintf(p.out, "    %s\n", line)
			}
		}
	}
	if p.Output == "json" {
		out := make([]resultJSON, len(results))
		for i, r := range results {
			out[i] = jsonOf(r, "")
		}
		return p.writeJSON(out)
	}
	if len(results) == 0 {
		fmt.Fprintln(p.out, "nothing was left to do")
	}
	return nil
}
