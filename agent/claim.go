package agent

import (
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

// claim claims, so that the loop need not wait. It is not cut short by a stop:
// what was claimed must be known, to be given up.
func (l *loop) claim() { l.put(l.s.claim(context.WithoutCancel(l.work), time.Now())) }

// claim asks the journal for runs and folds them.
func (s *Shell) claim(ctx context.Context, now time.Time) claimed {
	claims, err := s.journal.Claim(ctx, daruma.Claim{Node: s.node, Now: now, Type: daruma.AgentRun})
	in := claimed{posts: claims.Posts, next: claims.Next, more: claims.More, err: err}
	for i := range claims.Runs {
		t := s.takeOn(ctx, &claims.Runs[i])
		if t.err == nil {
			t.sizes = s.sizes(ctx, t.run, t.info.Name)
		}
		in.runs = append(in.runs, t)
	}
	return in
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
