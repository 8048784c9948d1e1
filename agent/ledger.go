package agent

import (
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

// machine makes the machine of this shell.
func (s *Shell) machine() *machine {
	m := newMachine(s.agents, s.workers)
	if len(s.budgets) > 0 {
		m.purse = newPurse(s.node, nonce(6), s.agents)
	}
	return m
}

// ledger reads what dead nodes have held, again and again while the journal
// cannot be reached.
func (l *loop) ledger() {
	for {
		in := l.s.ledger(l.work)
		switch daruma.KindOf(in.err) {
		case daruma.KindUnavailable, daruma.KindTimeout:
			select {
			case <-time.After(pause):
				continue
			case <-l.work.Done():
				return
			}
		case daruma.KindCancelled:
			return // the shell is stopping
		}
		l.put(in)
		return
	}
}

func (s *Shell) ledger(ctx context.Context) ledger {
	budgets, err := s.journal.(daruma.Ledger).Budgets(ctx)
	return ledger{budgets, err}
}

// sizes returns the sizes of the large texts of a run that money bounds, so
// that it is known what its next call may cost. What cannot be read is left
// out: the call itself will find that.
func (s *Shell) sizes(ctx context.Context, run *daruma.Run, agent string) map[daruma.Digest]int64 {
	if p := s.agents[agent]; p == nil || len(s.budgets) == 0 && run.Started().Limits.Money == 0 {
		return nil
	}
	var sizes map[daruma.Digest]int64
	add := func(d daruma.Digest) {
		if d.IsZero() {
			return
		}
		if b, err := s.journal.Blob(ctx, run.Tenant(), d); err == nil {
			if sizes == nil {
				sizes = map[daruma.Digest]int64{}
			}
			sizes[d] = int64(len(b))
		}
	}
	for _, m := range run.Messages() {
		add(m.Ref)
		if m.Native != nil {
			add(m.Native.Ref)
		}
	}
	return sizes
}
