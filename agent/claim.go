package agent

import (
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

// claim claims, so that the loop need not wait. It is not cut short by a stop:
// what was claimed must be known, to be given up.
func (l *loop) claim(a ask) { l.put(l.s.claim(context.WithoutCancel(l.work), time.Now(), a)) }

// claim asks the journal for runs and folds them.
func (s *Shell) claim(ctx context.Context, now time.Time, a ask) (in claimed) {
	if a.look {
		if in.held, in.err = s.held(ctx); in.err != nil {
			return in
		}
	}
	if !a.take {
		return in
	}
	claims, err := s.journal.Claim(ctx, daruma.Claim{Node: s.node, Now: now, Type: daruma.AgentRun})
	in.posts, in.next, in.more, in.err = claims.Posts, claims.Next, claims.More, err
	for i := range claims.Runs {
		t := s.takeOn(ctx, &claims.Runs[i])
		if t.err == nil {
			t.sizes = s.sizes(ctx, t.run, t.info.Name)
		}
		in.runs = append(in.runs, t)
	}
	return in
}

// held reads which runs the journal takes to be this node's.
func (s *Shell) held(ctx context.Context) (held []lease, err error) {
	const page = 1000
	for q := (daruma.Query{Node: s.node, Limit: page}); ; {
		infos, err := s.journal.Runs(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			if info.Type == daruma.AgentRun && !info.State.Finished() {
				held = append(held, lease{info.ID, info.Epoch})
			}
		}
		if len(infos) < page {
			return held, nil
		}
		q.Before = infos[page-1].ID
	}
}

// takeOn folds a claimed run.
func (s *Shell) takeOn(ctx context.Context, c *daruma.Claimed) taken {
	t := taken{info: c.Run, posts: c.Posts}
	if n := len(c.Events); n > 0 {
		t.fresh, t.last = c.Events[n-1:], c.Events[n-1].Time
	}
	t.run, t.err = foldSafely(c.Run.ID, c.Run.Tenant, c.Events)
	if t.err == nil || daruma.KindOf(t.err) != daruma.KindConflict || len(c.Events) == 0 || c.Events[0].Kind != daruma.KindCheckpoint {
		return t
	}
	// A checkpoint of another version: fold from the first event.
	var events []daruma.Event
	for e, err := range s.journal.Events(ctx, c.Run.ID, 0) {
		if err != nil {
			t.run, t.err = nil, err
			return t
		}
		events = append(events, e)
	}
	t.run, t.err = foldSafely(c.Run.ID, c.Run.Tenant, events)
	return t
}

// foldSafely is [daruma.Fold], with a panic made an error: a run that nobody
// can fold must not take the others down.
func foldSafely(id daruma.RunID, tenant daruma.Tenant, events []daruma.Event) (run *daruma.Run, err error) {
	defer func() {
		if p := recover(); p != nil {
			run, err = nil, daruma.Fail("agent.fold", daruma.KindInternal, "panic: %v", p)
		}
	}()
	return daruma.Fold(id, tenant, events)
}
