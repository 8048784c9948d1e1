package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"path/filepath"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/sqlite"
	"github.com/daruma-run/daruma/tool"
)

// shell is Daruma whole: package agent over package sqlite, with a model in
// this process. A step is a model call or a tool call; they take turns.
type shell struct {
	c       config
	journal *sqlite.DB
	agents  *agent.Shell
	stop    context.CancelFunc
	ended   chan error
}

func openDaruma(ctx context.Context, c config) (engine, error) {
	effect := daruma.Read
	if c.Intents {
		effect = daruma.Keyed
	}
	step := tool.Func("step", "Takes one step.", func(_ context.Context, in stepArgs) (string, error) {
		return c.Work(in.Run, in.Step), nil
	}, daruma.ToolSpec{Effect: effect, Timeout: daruma.Duration(10 * time.Minute)})
	models, err := route.NewTable(route.Target{Name: "local", Model: "local", Provider: stepper{c}, Price: daruma.Price{Free: true}})
	if err != nil {
		return nil, err
	}
	journal, err := sqlite.Open(ctx, filepath.Join(c.Dir, "daruma.db"), nil)
	if err != nil {
		return nil, err
	}
	agents, err := agent.New(agent.Options{
		Journal: journal, Models: models, Node: "bench", Workers: 4096,
		Agents: []agent.Agent{{
			Name: "stepper", Instructions: "Take one step after the other.", Tools: []tool.Tool{step},
			// Wide enough that no edge, hard or soft, is met.
			Limits: daruma.Limits{Steps: 10_000, Tokens: 1 << 50, Time: daruma.Duration(time.Hour), ModelTime: daruma.Duration(10 * time.Minute)},
		}},
	})
	if err != nil {
		return nil, err
	}
	s := &shell{c: c, journal: journal, agents: agents, ended: make(chan error, 1)}
	ctx, s.stop = context.WithCancel(ctx)
	go func() { s.ended <- agents.Run(ctx) }()
	return s, nil
}

// stepArgs are the arguments of the tool.
type stepArgs struct {
	Run  string `json:"run"`
	Step int    `json:"step"`
}

// stepper is the model: in every reply it asks for the tool once, until all
// steps are taken.
type stepper struct{ c config }

// Stream implements [model.Provider]. The conversation says how far the run
// is, so that it goes on rightly in another process.
func (p stepper) Stream(_ context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		run, step := "", 0
		for _, m := range r.Messages {
			switch m.Role {
			case daruma.RoleUser:
				run = m.Text
			case daruma.RoleAssistant:
				step += 2
			}
		}
		usage := &daruma.Usage{Input: int64(100 * len(r.Messages)), Output: 100}
		if step >= p.c.Steps {
			yield(model.Chunk{Text: "All steps are taken.", Finish: daruma.FinishStop, Usage: usage, End: true}, nil)
			return
		}
		args, err := json.Marshal(stepArgs{run, step + 1})
		if err != nil {
			yield(model.Chunk{}, err)
			return
		}
		yield(model.Chunk{
			Text:   p.c.Work(run, step),
			Call:   &model.CallDelta{ID: fmt.Sprintf("call_%d", step), Name: "step", Arguments: string(args)},
			Finish: daruma.FinishTools, Usage: usage, End: true,
		}, nil)
	}
}

func (s *shell) Start(ctx context.Context, run string) (func() error, error) {
	id, err := s.agents.Start(ctx, agent.Start{ID: daruma.RunID(run), Agent: "stepper", Input: run})
	if err != nil {
		return nil, err
	}
	return func() error {
		r, err := s.agents.Wait(ctx, id)
		if err != nil {
			return err
		}
		if want := s.c.Steps + 1; r.State != daruma.Completed || r.Steps != want || len(r.Falls) > 0 {
			return fmt.Errorf("run %s is %s after %d steps with %d falls (%s), wanted completed after %d with none", id, r.State, r.Steps, len(r.Falls), r.Note, want)
		}
		return nil
	}, nil
}

func (s *shell) Await(ctx context.Context, runs []string) error {
	for {
		found, err := s.journal.Runs(ctx, daruma.Query{Limit: len(runs) + 1})
		if err != nil {
			return err
		}
		completed := 0
		for _, r := range found {
			switch r.State {
			case daruma.Completed:
				completed++
			case daruma.Running:
			default:
				return fmt.Errorf("run %s is %s: %s", r.ID, r.State, r.Note)
			}
		}
		if completed == len(runs) && len(found) == completed {
			return nil
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return fmt.Errorf("%d of %d runs are completed: %w", completed, len(runs), err)
		}
	}
}

func (s *shell) Durability() string { return "SQLite WAL, synchronous=FULL, group commit" }

func (s *shell) Close() error {
	s.stop()
	if err := <-s.ended; err != nil {
		return err
	}
	return s.journal.Close()
}
