package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type forkCommand struct {
	Of         string            `arg:"" name:"run" help:"The run to fork: finished, parked or alive."`
	At         string            `placeholder:"STEP" help:"The step to do anew, as daruma show prints it: 4/3; 4 for the model call of turn 4; last."`
	Model      string            `placeholder:"NAME" help:"Ask this model first; the others of the run stay behind it."`
	Prompt     *string           `placeholder:"TEXT" help:"Another system prompt; @FILE reads a file."`
	Input      string            `short:"i" placeholder:"TEXT" help:"Ask the run something else; @FILE reads a file, - standard input."`
	Args       map[string]string `mapsep:"none" placeholder:"CALL=JSON" help:"Other arguments for a call of this step, named by its step or its tool."`
	Effects    string            `enum:"ask,allow" default:"ask" help:"Writes that the run has not made: ${enum}. Those it has made are never made again."`
	Replace    bool              `help:"Rewind: stop the run first; the fork goes on in its place."`
	ID         string            `placeholder:"ID" help:"Name of the new run; default a new one."`
	Key        string            `placeholder:"KEY" help:"Fork once: the same key again names the same run."`
	DryRun     bool              `help:"Only say what would be answered from the record."`
	Detach     bool              `help:"Only make it; daruma resume, or the process that owns the journal, works on it."`
	NoWait     bool              `help:"Exit with 3 when the run is parked instead of waiting for the answer."`
	limitFlags `embed:""`
}

// Run performs daruma fork.
func (cmd *forkCommand) Run(ctx context.Context, p *program) error {
	limits, err := cmd.limits()
	if err != nil {
		return err
	}
	f := agent.Fork{ID: daruma.RunID(cmd.ID), Of: daruma.RunID(cmd.Of), At: cmd.At, By: p.actor(), Key: cmd.Key, Model: cmd.Model,
		Args: cmd.Args, Limits: limits, Allow: cmd.Effects == "allow", Replace: cmd.Replace}
	if f.Input, err = p.textArg("input", cmd.Input); err != nil {
		return err
	}
	if cmd.Prompt != nil {
		text, err := p.textArg("prompt", *cmd.Prompt)
		if err != nil {
			return err
		}
		f.Instructions = &text
	}
	if cmd.DryRun {
		return p.planFork(ctx, f)
	}
	if cmd.Replace && cmd.Detach {
		return daruma.Fail("fork", daruma.KindInvalid, "--replace stops the run first, and --detach does not wait for that; accepted: one of them")
	}
	if f.ID == "" {
		var random [10]byte
		rand.Read(random[:]) // never fails
		f.ID = daruma.NewRunID(time.Now(), random)
	}
	return p.work(ctx, work{fork: &f, detach: cmd.Detach, noWait: cmd.NoWait})
}

// textArg reads an argument that may name a file or standard input.
func (p *program) textArg(name, text string) (string, error) {
	const most = 8 << 20
	path, isFile := strings.CutPrefix(text, "@")
	var r io.Reader
	switch {
	case text == "-":
		r = p.in
	case isFile:
		f, err := os.Open(path)
		if err != nil {
			return "", daruma.Fail("fork", daruma.KindInvalid, "--%s: %w", name, err)
		}
		defer f.Close()
		r = f
	default:
		return text, nil
	}
	b, err := io.ReadAll(io.LimitReader(r, most))
	if err != nil {
		return "", daruma.Fail("fork", daruma.KindInvalid, "--%s: %w", name, err)
	}
	return string(b), nil
}

// born tells of a fork that no shell was at work to tell of.
func (t *teller) born(ctx context.Context, j daruma.Reader, w work) error {
	if w.fork == nil || w.detach {
		return nil
	}
	var events []daruma.Event
	for e, err := range j.Events(ctx, w.run, 0) {
		if err != nil {
			return err
		}
		if e.Kind == daruma.KindForked {
			events = []daruma.Event{e}
		}
	}
	t.observe(w.run, events)
	return nil
}

// planner lets a shell plan on a journal that is only read.
type planner struct{ reader }

func (planner) Commit(_ context.Context, txs []daruma.Tx) []error {
	errs := make([]error, len(txs))
	for i := range errs {
		errs[i] = daruma.Fail("plan", daruma.KindDenied, "this only reads")
	}
	return errs
}

func (planner) Post(context.Context, daruma.Post) (bool, error) {
	return false, daruma.Fail("plan", daruma.KindDenied, "this only reads")
}

func (planner) Claim(context.Context, daruma.Claim) (daruma.Claims, error) {
	return daruma.Claims{}, daruma.Fail("plan", daruma.KindDenied, "this only reads")
}

func (planner) Wake() <-chan struct{} { return nil }

// planFork says what a fork would do, and makes nothing.
func (p *program) planFork(ctx context.Context, f agent.Fork) error {
	c, err := p.configuration()
	if err != nil {
		return err
	}
	j, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	stop, err := p.startServers(ctx, c, false)
	if err != nil {
		return err
	}
	defer stop()
	shell, err := c.shell(planner{j}, nil)
	if err != nil {
		return err
	}
	if f.Of, err = find(ctx, j, string(f.Of)); err != nil {
		return err
	}
	run, err := shell.PlanFork(ctx, f)
	if err != nil {
		return err
	}
	events, commands := run.Next()
	var next []string
	for _, e := range events {
		if line := new(story).line(e); line != "" {
			next = append(next, line)
		}
	}
	for _, c := range commands {
		switch c.Op {
		case daruma.OpCallModel:
			next = append(next, markStep+" asks "+c.Target)
		case daruma.OpCallTool:
			next = append(next, markStep+" calls "+c.Tool+"("+printable(short(c.Args))+")")
		}
	}
	forked := run.Forked()
	if p.Output == "json" {
		record := run.Record()
		if record == nil {
			record = []daruma.Write{}
		}
		return p.writeJSON(map[string]any{"origin": forked.Run, "at": forked.At, "seq": forked.Seq, "record": record, "allow": forked.Allow, "next": next})
	}
	fmt.Fprintf(p.out, "a fork of %s before step %s, after event %d; nothing was made\n", forked.Run, forked.At, forked.Seq)
	for _, w := range run.Record() {
		if w.Outcome == daruma.Succeeded {
			fmt.Fprintln(p.out, "  answered from the record, not done again: "+printable(writeText(w)+" → "+short(w.Text)))
		} else {
			fmt.Fprintln(p.out, "  asked of a human, its outcome is unknown: "+printable(writeText(w)))
		}
	}
	if forked.Allow {
		fmt.Fprintln(p.out, "  other writes are made as far as their risk allows")
	} else {
		fmt.Fprintln(p.out, "  other writes need an approval")
	}
	for _, line := range next {
		fmt.Fprintln(p.out, "  next:", line)
	}
	return nil
}

// writeText names a write of a record.
func writeText(w daruma.Write) string {
	return fmt.Sprintf("%s(%s) of step %s of %s", w.Tool, short(w.Args), w.Step, w.Run)
}

// forkText tells where a run left the history of another, and what it changed.
func forkText(by daruma.Actor, p daruma.Forked) string {
	word := "forks"
	if p.Replace {
		word = "rewinds"
	}
	text := fmt.Sprintf("%s %s %s: what is above happened there; step %s is done anew", by, word, p.Run, p.At)
	c := p.Change
	if len(c.Models) > 0 {
		text += ", model " + c.Models[0]
	}
	if c.Instructions != nil {
		text += ", prompt: " + short(*c.Instructions)
	}
	if c.Input != nil {
		text += ", input: " + short(c.Input.Text)
	}
	for call, args := range c.Args {
		text += ", arguments of " + call + ": " + short(args)
	}
	if c.Limits != (daruma.Limits{}) {
		text += ", other limits"
	}
	if c.Ladder != nil {
		text += ", another ladder"
	}
	if p.Allow {
		text += ", new writes allowed"
	}
	return text
}

// originOf returns the run that a run was forked from, "" for none.
func originOf(ctx context.Context, j daruma.Reader, id daruma.RunID) (daruma.RunID, error) {
	for e, err := range j.Events(ctx, id, 0) {
		if err != nil {
			return "", err
		}
		return read[daruma.Started](e).Origin, nil
	}
	return "", nil
}

// maxForkSearch bounds how many newer runs of the agent forksOf looks at.
const maxForkSearch = 2000

// forksOf returns the runs that were forked from a run, newest first. They are
// younger than it.
func forksOf(ctx context.Context, j daruma.Reader, of daruma.RunInfo) ([]daruma.RunID, error) {
	const page = 200
	var found []daruma.RunID
	q := daruma.Query{Name: of.Name, Type: of.Type, Limit: page}
	for range maxForkSearch / page {
		infos, err := j.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			if info.ID == of.ID {
				return found, nil
			}
			q.Before = info.ID
			if info.State == daruma.Quarantined {
				continue
			}
			origin, err := originOf(ctx, j, info.ID)
			if daruma.KindOf(err) == daruma.KindCorrupt {
				continue
			}
			if err != nil {
				return nil, err
			}
			if origin == of.ID {
				found = append(found, info.ID)
			}
		}
		if len(infos) < page {
			break
		}
	}
	return found, nil
}
