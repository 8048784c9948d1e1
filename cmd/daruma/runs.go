package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type runsCommand struct {
	State string `placeholder:"STATE" help:"Only runs in this state, such as parked."`
	Agent string `placeholder:"NAME" help:"Only runs of this agent."`
	Limit int    `default:"100" help:"At most so many."`
}

// Run performs daruma runs.
func (cmd *runsCommand) Run(ctx context.Context, p *program) error {
	q := daruma.Query{Name: cmd.Agent, Type: daruma.AgentRun, Limit: cmd.Limit}
	if cmd.Limit <= 0 {
		return daruma.Fail("runs", daruma.KindInvalid, "limit is %d; accepted: more than 0", cmd.Limit)
	}
	if cmd.State != "" {
		var s daruma.RunState
		if err := s.UnmarshalText([]byte(cmd.State)); err != nil {
			return err
		}
		q.States = []daruma.RunState{s}
	}
	var infos []daruma.RunInfo
	var answered map[daruma.RunID]string
	origins, parents := map[daruma.RunID]daruma.RunID{}, map[daruma.RunID]daruma.RunID{}
	levels := map[daruma.RunID]*daruma.Level{}
	j, err := p.look(ctx)
	switch {
	case daruma.KindOf(err) == daruma.KindNotFound: // no file, no runs
	case err != nil:
		return err
	default:
		defer j.Close()
		if infos, err = j.Runs(ctx, q); err != nil {
			return err
		}
		if answered, err = answers(ctx, j, ""); err != nil {
			return err
		}
		for i, r := range infos {
			if r.State == daruma.Quarantined {
				continue
			}
			origins[r.ID], err = originOf(ctx, j, r.ID)
			if err == nil {
				levels[r.ID], err = levelOf(ctx, j, r)
			}
			if err == nil {
				parents[r.ID], err = parentOf(ctx, j, r.ID)
			}
			if daruma.KindOf(err) == daruma.KindCorrupt { // the other runs are whole
				infos[i].Note = "damaged: " + plain(err)
			} else if err != nil {
				return err
			}
		}
	}
	if p.Output == "json" {
		type listed struct {
			daruma.RunInfo
			Answered string       `json:"answered,omitempty"` // what the run has not acted on yet
			Origin   daruma.RunID `json:"origin,omitempty"`   // the run it was forked from
			Parent   daruma.RunID `json:"parent,omitempty"`   // the run whose sub-run it is

			Level *daruma.Level `json:"level,omitempty"` // of a finished run: how much of the full service it got
		}
		all := make([]listed, len(infos))
		for i, r := range infos {
			all[i] = listed{r, answered[r.ID], origins[r.ID], parents[r.ID], levels[r.ID]}
		}
		return p.writeJSON(all)
	}
	if len(infos) == 0 {
		fmt.Fprintln(p.out, "no runs yet; daruma demo shows one")
		return nil
	}
	idle := slices.ContainsFunc(infos, func(r daruma.RunInfo) bool { return r.State == daruma.Running }) && p.idle(ctx)
	for _, r := range infos {
		note := short(r.Note)
		if idle && r.State == daruma.Running {
			note = strings.TrimSuffix("no process works on it: daruma resume; "+note, "; ")
		}
		if by := answered[r.ID]; by != "" && !r.State.Finished() {
			note = "answered, not acted on yet: " + short(by) + "; " + note
		}
		if parent := parents[r.ID]; parent != "" {
			note = strings.TrimSuffix("sub-run of "+string(parent)+"; "+note, "; ")
		}
		if origin := origins[r.ID]; origin != "" {
			note = strings.TrimSuffix("fork of "+string(origin)+"; "+note, "; ")
		}
		if level := levels[r.ID]; level != nil && *level != daruma.Full {
			note = "level " + level.String() + "; " + note
		}
		fmt.Fprintln(p.out, strings.TrimRight(fmt.Sprintf("%-31s %-11s %-12s %s  %s", r.ID, r.State, short(r.Name), r.Updated.Local().Format(time.DateTime), printable(note)), " "))
	}
	return nil
}

type showCommand struct {
	ID string `arg:"" name:"run" help:"The run."`
}

// Run performs daruma show.
func (cmd *showCommand) Run(ctx context.Context, p *program) error {
	j, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	id, err := find(ctx, j, cmd.ID)
	if err != nil {
		return err
	}
	info, err := j.Run(ctx, id)
	if err != nil {
		return err
	}
	run := daruma.NewRun(id, info.Tenant)
	var events []daruma.Event
	for e, err := range j.Events(ctx, id, 0) {
		if err != nil {
			return err
		}
		if err := run.Apply(e); err != nil {
			return err
		}
		events = append(events, e)
	}
	result := agent.ResultOf(run)
	answered, err := answers(ctx, j, id)
	if err != nil {
		return err
	}
	steps, err := daruma.Steps(id, info.Tenant, events)
	if err != nil {
		return err
	}
	forks, err := forksOf(ctx, j, info)
	if err != nil {
		return err
	}
	children, err := tree(ctx, j, events)
	if err != nil {
		return err
	}
	if p.Output == "json" {
		return p.writeJSON(struct {
			resultJSON
			Forked   *daruma.Forked        `json:"forked,omitempty"` // where it was forked from another run
			Forks    []daruma.RunID        `json:"forks,omitempty"`  // runs that were forked from it
			Steps    []daruma.Step         `json:"at"`               // the steps at which it can be forked
			Effects  []daruma.EffectRecord `json:"effects,omitempty"`
			Children []child               `json:"children,omitempty"` // its sub-runs, with theirs
			Events   []daruma.Event        `json:"events"`
		}{jsonOf(result, answered[id]), run.Forked(), forks, steps, run.Effects(), children, events})
	}
	var s story
	fmt.Fprintf(p.out, "%s  %s  %s\n\n", id, info.Name, stateText(run.State(), run.Level()))
	step := ""
	for _, e := range events {
		for len(steps) > 0 && steps[0].Seq < e.Seq {
			step, steps = steps[0].ID, steps[1:]
		}
		if line := s.line(e); line != "" {
			fmt.Fprintf(p.out, "%4d %s %5s  %s\n", e.Seq, e.Time.Local().Format("15:04:05.000"), step, line)
			step = ""
		}
	}
	fmt.Fprintln(p.out)
	if f := run.Forked(); f != nil {
		fmt.Fprintf(p.out, "forked from %s before its step %s, after its event %d\n", f.Run, f.At, f.Seq)
	}
	for _, fork := range forks {
		fmt.Fprintf(p.out, "forked by %s: daruma show %s\n", fork, fork)
	}
	for _, line := range treeLines(children, 0) {
		fmt.Fprintln(p.out, printable(line))
	}
	for _, e := range run.Effects() {
		fmt.Fprintln(p.out, printable(effectText(id, e)))
	}
	below, err := stuck(ctx, j, id)
	if err != nil {
		return err
	}
	for _, line := range nextLines(result, answered[id], below, p.idle(ctx)) {
		fmt.Fprintln(p.out, printable(line))
	}
	fmt.Fprintf(p.out, "%s, %s, %s, active %s\n", plural(run.Steps(), "step"), plural(int(run.Usage().Total()), "token"), run.Cost(), run.Active().Round(time.Millisecond))
	return nil
}

// effectText tells what is known of a call that may have changed the world.
func effectText(run daruma.RunID, e daruma.EffectRecord) string {
	text := fmt.Sprintf("effect %s %s (%s): %s", e.Step, e.Tool, e.Effect, e.State)
	if !e.State.Settled() {
		text += "; daruma answer " + string(run) + " --call " + e.Step + " --result TEXT settles it, key " + e.Key
	}
	return text
}

type explainCommand struct {
	ID string `arg:"" name:"run" help:"The run."`
}

// Run performs daruma explain: at most ten lines.
func (cmd *explainCommand) Run(ctx context.Context, p *program) error {
	j, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	id, err := find(ctx, j, cmd.ID)
	if err != nil {
		return err
	}
	run, err := agent.Read(ctx, j, id)
	if err != nil {
		return err
	}
	answered, err := answers(ctx, j, run.ID())
	if err != nil {
		return err
	}
	if p.Output == "json" {
		return p.writeJSON(jsonOf(agent.ResultOf(run), answered[run.ID()]))
	}
	below, err := stuck(ctx, j, id)
	if err != nil {
		return err
	}
	for _, line := range explain(run, nextLines(agent.ResultOf(run), answered[id], below, p.idle(ctx))) {
		fmt.Fprintln(p.out, printable(line))
	}
	return nil
}

// explain says in at most ten lines what fell, how it was caught, where the
// trouble began and what to do now, which is in next.
func explain(run *daruma.Run, next []string) []string {
	const most = 10
	lines := []string{fmt.Sprintf("%s of agent %s: %s after %s, %s", run.ID(), run.Started().Agent, run.State(), plural(run.Steps(), "step"), run.Cost())}
	falls := run.Falls()
	if len(falls) == 0 {
		lines = append(lines, "nothing fell")
	} else {
		lines = append(lines, fmt.Sprintf("it began at step %s: %s: %s", falls[0].Step, falls[0].Type, short(falls[0].Message)))
	}
	var ends []string
	if f := run.Finished(); f != nil {
		if f.Text != "" {
			ends = append(ends, "end: "+short(f.Text))
		}
		if len(f.Compensated) > 0 {
			ends = append(ends, "compensated: "+short(strings.Join(f.Compensated, "; ")))
		}
		if len(f.Remaining) > 0 {
			ends = append(ends, "remaining: "+short(strings.Join(f.Remaining, "; ")))
		}
		if len(f.Missing) > 0 {
			ends = append(ends, "missing: "+short(strings.Join(f.Missing, "; ")))
		}
	}
	ends = append(ends, next[:min(len(next), 5)]...)
	room := most - len(lines) - len(ends)
	for i, f := range falls {
		if i == room-1 && len(falls) > room {
			lines = append(lines, fmt.Sprintf("… and %d more falls: daruma show %s", len(falls)-i, run.ID()))
			break
		}
		lines = append(lines, fallText(f))
	}
	return append(lines, ends...)
}

// fallText tells one fall in a line.
func fallText(f daruma.Fall) string {
	var moves []string
	for _, m := range f.Moves {
		name := m.Remedy.String()
		if m.Target != "" {
			name += " " + m.Target
		}
		moves = append(moves, name)
	}
	end := "still open"
	if by, ok := f.By(); f.Caught && ok {
		end = "caught by " + by.String()
	} else if f.Over {
		end = "not caught"
	} else if ok && by.Ends() {
		end = "waits for a human"
	}
	what := f.Subject
	if f.Tool != "" {
		what = f.Tool
	}
	return fmt.Sprintf("step %s %s (%s): %s → %s", f.Step, f.Type, what, strings.Join(moves, ", "), end)
}
