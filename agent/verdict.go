package agent

import (
	"github.com/daruma-run/daruma"
)

// takeVerdict takes what the journal said of a Tx.
func (m *machine) takeVerdict(f *flight, err error) {
	m.flights--
	if f.spend != nil {
		m.takeSpend(f, err)
		return
	}
	r := f.live
	if r.gone {
		if err != nil {
			m.unsaid(r.tenant, f.tx.Spends)
		}
		return
	}
	r.flight = nil
	if err == nil {
		m.acknowledged(r, f)
		return
	}
	switch daruma.KindOf(err) {
	case daruma.KindExhausted, daruma.KindUnavailable, daruma.KindTimeout, daruma.KindCancelled:
	default: // the Tx is not sent again
		m.unsaid(r.tenant, f.tx.Spends)
	}
	switch kind := daruma.KindOf(err); kind {
	case daruma.KindDown:
		m.out.down = err
		m.drop(r)
	case daruma.KindFenced, daruma.KindNotFound:
		m.note(r.id, "the run belongs to somebody else now", err)
		m.drop(r)
	case daruma.KindConflict, daruma.KindExists:
		if m.moved[r.id]++; m.moved[r.id] > maxMoved {
			m.quarantine(r, err)
			return
		}
		m.note(r.id, "the run has moved: it is read anew", err)
		m.drop(r)
		m.giveUp(lease{r.id, r.epoch})
	case daruma.KindExhausted, daruma.KindUnavailable, daruma.KindTimeout, daruma.KindCancelled:
		m.note(r.id, "a commit is tried again", err)
		r.again = f
		m.timers.add(m.now.Add(pause), r)
	default:
		if f.tx.State == daruma.Quarantined {
			m.drop(r)
			return
		}
		m.quarantine(r, err)
	}
}

// acknowledged lets the run go on: its events are on disk.
func (m *machine) acknowledged(r *live, f *flight) {
	r.head = f.head
	delete(m.moved, r.id)
	if m.claiming {
		for _, id := range r.folding {
			m.lately[runPost{r.id, id}] = true
		}
	}
	r.folding = r.folding[:0]
	s := seen{run: r.id, events: f.tx.Events}
	if f.tx.State.Finished() || f.tx.State == daruma.ParkedState || f.tx.State == daruma.Quarantined {
		s.result = resultOf(&f.tx, r.run)
	}
	m.out.seen = append(m.out.seen, s)
	if len(f.tx.Posts) > 0 {
		m.claimBy(m.now) // the runs they are for may be ours
	}
	if !f.tx.Release {
		m.touch(r)
		return
	}
	if !f.tx.State.Finished() && !m.draining {
		if len(r.posts) > 0 {
			m.claimBy(m.now)
		} else if !f.tx.WakeAt.IsZero() {
			m.claimBy(f.tx.WakeAt)
		}
	}
	m.drop(r)
}
