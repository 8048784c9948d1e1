package agent

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// startChild makes the sub-run of a call durable. Its id is that of the call,
// so that it is one run however often this is done: after a crash, or when the
// outcome of the commit is not known.
func (s *Shell) startChild(ctx context.Context, t *task) *done {
	c := &t.cmd
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	failed := func(err error) *done {
		if cutShort(ctx, err) {
			return &done{dropped: true}
		}
		reply := daruma.ToolReplied{Command: c.ID, Call: c.Call, Tool: c.Tool, Outcome: daruma.Failed, Kind: daruma.KindOf(err), Text: short(plain(err))}
		if ctx.Err() != nil {
			reply.Outcome, reply.Kind = daruma.Doubtful, daruma.KindDoubt
		}
		return answered(daruma.KindToolReplied, reply)
	}
	p := s.agents[c.Agent]
	if p == nil {
		return failed(daruma.Fail("", daruma.KindNotFound, "agent %q of the sub-run is unknown here; known: %s", c.Agent, strings.Join(names(s.agents), ", ")))
	}
	for {
		err := s.commitChild(ctx, t, p, time.Now(), nonce(16), s.begin)
		switch daruma.KindOf(err) {
		case daruma.KindDown:
			return &done{poisoned: err}
		case daruma.KindUnavailable, daruma.KindTimeout, daruma.KindExhausted, daruma.KindCancelled:
			select {
			case <-time.After(pause):
				continue
			case <-ctx.Done():
			}
			return failed(err)
		}
		if err != nil {
			return failed(err)
		}
		return childStarted(c)
	}
}

func childStarted(c *daruma.Command) *done {
	return answered(daruma.KindChild, daruma.ChildStarted{Command: c.ID, Call: c.Call, Run: c.Child})
}

func (s *Shell) commitChild(ctx context.Context, t *task, p *profile, now time.Time, nonce string, begin func(context.Context, daruma.Tx) error) error {
	c := &t.cmd
	parent := &daruma.Parent{Run: t.live.id, Key: c.Key, Depth: c.Depth}
	now = now.UTC().Truncate(time.Microsecond)
	start := Start{ID: c.Child, Tenant: t.live.tenant, Agent: c.Agent, Input: daruma.ChildInput(c.Args),
		Limits: daruma.ChildLimits(p.Limits, *c.Share), parent: parent}
	err := s.prepare(ctx, p, &start, now)
	if err == nil {
		err = begin(ctx, p.first(start, now, nonce))
	}
	if daruma.KindOf(err) == daruma.KindExists {
		return s.isChild(ctx, c.Child, *parent)
	}
	return err
}

// isChild checks that a run which exists already is the sub-run it should be.
func (s *Shell) isChild(ctx context.Context, id daruma.RunID, parent daruma.Parent) error {
	for e, err := range s.journal.Events(ctx, id, 0) {
		var started daruma.Started
		switch {
		case err != nil:
			return err
		case json.Unmarshal(e.Payload, &started) != nil, started.Parent == nil, *started.Parent != parent:
			return daruma.Fail("agent.Start", daruma.KindConflict, "run %s exists already and is not the sub-run of %s", id, parent.Run)
		}
		return nil
	}
	return daruma.Fail("agent.Start", daruma.KindCorrupt, "run %s has no events", id)
}

// checkChildren refuses tools that are sub-runs of agents there are not.
func checkChildren(agents map[string]*profile) error {
	for _, name := range names(agents) {
		for _, spec := range agents[name].specs {
			if spec.Agent != "" && agents[spec.Agent] == nil {
				return daruma.Fail("agent.New", daruma.KindInvalid, "agent %s: tool %q is a sub-run of agent %q, which is unknown; accepted: %s",
					name, spec.Name, spec.Agent, strings.Join(names(agents), ", "))
			}
		}
	}
	return nil
}
