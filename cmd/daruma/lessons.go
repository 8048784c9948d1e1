package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
)

type lessonsCommand struct {
	Agent  string `arg:"" help:"The agent whose runs have learned."`
	Forget string `placeholder:"ID" help:"Forget this lesson, and older ones that say the same."`
	Tenant string `placeholder:"NAME" help:"Of this tenant; default none."`
}

// Run performs daruma lessons.
func (cmd *lessonsCommand) Run(ctx context.Context, p *program) error {
	tenant := daruma.Tenant(cmd.Tenant)
	if cmd.Forget != "" {
		j, _, err := p.connect(ctx)
		if err != nil {
			return err
		}
		defer j.Close()
		if err := agent.Forget(ctx, j, tenant, cmd.Agent, cmd.Forget, p.actor()); err != nil {
			return hinted{err, "daruma lessons " + cmd.Agent + " lists what there is"}
		}
		if p.Output == "json" {
			return p.writeJSON(map[string]any{"forgotten": cmd.Forget})
		}
		fmt.Fprintln(p.out, "forgotten; runs that start from now on are not given it")
		return nil
	}
	j, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	all, forgotten, err := agent.Lessons(ctx, j, tenant, cmd.Agent)
	if err != nil {
		return err
	}
	lessons := daruma.Useful(all, forgotten, len(all))
	if p.Output == "json" {
		return p.writeJSON(lessons)
	}
	if len(lessons) == 0 {
		fmt.Fprintf(p.out, "agent %s has learned nothing; lessons: 5 beside its models has it learn\n", printable(cmd.Agent))
		return nil
	}
	for _, l := range lessons {
		fmt.Fprintf(p.out, "%s  %s  %s\n", l.ID, l.Time.Local().Format(time.DateTime), printable(lessonText(l)))
	}
	return nil
}

// lessonText tells a lesson in a line, the most useful first.
func lessonText(l daruma.Lesson) string {
	text := l.Signal.String()
	if l.Tool != "" {
		text += " of " + l.Tool
	}
	if l.Path != "" {
		text += " at " + l.Path
	}
	if l.Failed != "" {
		text += " with " + short(l.Failed)
	}
	worked := "answering without it"
	if l.Worked != "" {
		worked = short(l.Worked)
	}
	return text + ": " + short(l.Finding) + "; then worked: " + worked + "; run " + string(l.Run)
}

// lessonsText says how many lessons a run was given.
func lessonsText(lessons []daruma.Lesson) string {
	if len(lessons) == 0 {
		return ""
	}
	return "; with " + plural(len(lessons), "lesson")
}

type statsCommand struct {
	Agent string `placeholder:"NAME" help:"Only runs of this agent."`
	Limit int    `default:"1000" help:"The newest so many runs."`
}

// Run performs daruma stats.
func (cmd *statsCommand) Run(ctx context.Context, p *program) error {
	if cmd.Limit <= 0 {
		return daruma.Fail("stats", daruma.KindInvalid, "limit is %d; accepted: more than 0", cmd.Limit)
	}
	j, err := p.look(ctx)
	if err != nil {
		return err
	}
	defer j.Close()
	infos, err := j.Runs(ctx, daruma.Query{Name: cmd.Agent, Type: daruma.AgentRun, Limit: cmd.Limit})
	if err != nil {
		return err
	}
	infos = slices.DeleteFunc(infos, func(r daruma.RunInfo) bool { return r.State == daruma.Quarantined })
	var tally daruma.Tally
	unread := 0
	for _, r := range infos {
		run, err := agent.Read(ctx, j, r.ID)
		if kind := daruma.KindOf(err); kind == daruma.KindCorrupt || kind == daruma.KindConflict { // damaged, or not to be folded; the others are whole
			unread++
			continue
		}
		if err != nil {
			return err
		}
		tally.Add(run)
	}
	type signal struct {
		daruma.Recoveries
		Rate *float64 `json:"reflection_rate"` // null: no reflection is over
	}
	all := []signal{}
	for _, c := range tally.Signals() {
		s := signal{Recoveries: c}
		if rate, ok := c.Rate(); ok {
			s.Rate = &rate
		}
		all = append(all, s)
	}
	if p.Output == "json" {
		return p.writeJSON(map[string]any{"runs": tally.Runs, "damaged": unread, "signals": all})
	}
	fmt.Fprint(p.out, plural(tally.Runs, "run"))
	if unread > 0 {
		fmt.Fprintf(p.out, ", and %s that cannot be read: daruma show tells why", plural(unread, "damaged run"))
	}
	fmt.Fprintln(p.out)
	if len(all) == 0 {
		fmt.Fprintln(p.out, "nothing fell")
		return nil
	}
	fmt.Fprintf(p.out, "%-22s %6s %6s %6s %11s %9s %6s %5s\n", "signal", "falls", "caught", "open", "reflections", "reflected", "helped", "rate")
	for _, s := range all {
		rate := "-"
		if s.Rate != nil {
			rate = fmt.Sprintf("%.0f %%", 100**s.Rate)
		}
		fmt.Fprintf(p.out, "%-22s %6d %6d %6d %11d %9d %6d %5s\n", s.Signal, s.Falls, s.Caught, s.Open, s.Reflections, s.Reflected, s.Helped, rate)
	}
	return nil
}
