package darumatest

import (
	"context"
	"fmt"
	"time"

	"github.com/daruma-run/daruma"
)

// ctx is that of every call of the journal: nothing cuts one short but a fault.
var ctx = context.Background()

// written is one write in the cache of the disk, in the order of the journal's.
type written struct {
	by    *process // nil: a person, or a lease that ran out
	parts []change
}

// change is what a write added to a run.
type change struct {
	run    daruma.RunID
	tx     *daruma.Tx     // nil: a claim
	events []daruma.Event // as they are read back
}

// disk is the journal as one process sees it: with the faults of the plan, and
// with an oracle that listens.
type disk struct {
	*Memory
	p       *process
	stopped bool // a sync has failed: nothing is written any more

	late map[daruma.RunID]int64 // epochs given by claims that nobody waited for any more
}

// faultOf reads the fault of a line about the disk: whether it takes effect
// all the same, whether it is for good, and what the caller is told.
func faultOf(l line) (effect, stays bool, err error) {
	if l == nil {
		return true, false, nil
	}
	kind := daruma.KindUnavailable
	if text := l.word(3); text != "" {
		_ = kind.UnmarshalText([]byte(text)) // an unknown one stays unavailable
	}
	switch l.word(2) {
	case "unsure":
		return true, false, daruma.Fail("disk", kind, "the outcome is not known")
	case "stop":
		return true, true, daruma.Fail("disk", daruma.KindDown, "a sync has failed")
	}
	return false, false, daruma.Fail("disk", kind, "nothing was written")
}

// Commit is [daruma.Journal.Commit] with the fault of this batch.
func (d *disk) Commit(ctx context.Context, txs []daruma.Tx) []error {
	w := d.p.w
	w.batches++
	l := w.plan.fault(fmt.Sprint("disk ", w.batches))
	effect, stays, fault := faultOf(l)
	verdicts := make([]error, len(txs))
	if d.stopped {
		effect, fault = false, daruma.Fail("disk", daruma.KindDown, "it has stopped")
	}
	if l != nil {
		w.hit("disk " + l.word(2))
	}
	if effect {
		verdicts = d.Memory.Commit(ctx, txs)
	}
	for i, err := range verdicts {
		tx := &txs[i]
		if effect && err == nil {
			c := change{run: tx.Run, tx: tx}
			for k, e := range tx.Events { // as a reader gets them: decoded from what was written
				c.events = append(c.events, daruma.Event{Seq: tx.Head + 1 + int64(k), Kind: e.Kind, Time: e.Time, Actor: e.Actor, Payload: e.Payload})
			}
			w.written = append(w.written, written{d.p, []change{c}})
		}
		if effect && err != nil {
			w.oracle.refused(d.p, tx, err)
		}
		if fault != nil {
			w.oracle.unsure(d.p, tx.Run)
			verdicts[i] = fault
		}
		w.tell("  disk: batch %d %s %d+%d %s release=%v: %v", w.batches, tx.Run, tx.Head, len(tx.Events), tx.State, tx.Release, verdicts[i])
	}
	d.stopped = d.stopped || stays
	return verdicts
}

// Claim is [daruma.Journal.Claim] with the fault of this claim.
func (d *disk) Claim(ctx context.Context, c daruma.Claim) (daruma.Claims, error) {
	w := d.p.w
	w.claims++
	l := w.plan.fault(fmt.Sprint("claim ", w.claims))
	effect, _, fault := faultOf(l)
	if d.stopped {
		effect, fault = false, daruma.Fail("disk", daruma.KindDown, "it has stopped")
	}
	if l != nil {
		w.hit("claim " + l.word(2))
	}
	if l.word(2) == "late" { // the request comes through when nobody waits for it any more
		w.after(l.duration("after"), func() {
			if d.p.alive && !d.stopped {
				for _, r := range d.take(c).Runs {
					d.late[r.Run.ID] = r.Run.Epoch
					w.hit("runs of a late claim")
				}
				w.sync(func(bool) {}, d.p.node, "late claim")
			}
		})
	}
	if !effect {
		return daruma.Claims{}, fault
	}
	claims := d.take(c)
	if fault != nil {
		if len(claims.Runs) > 0 {
			w.hit("runs of an unsure claim")
		}
		return daruma.Claims{}, fault
	}
	return claims, nil
}

// take has a claim take effect.
func (d *disk) take(c daruma.Claim) daruma.Claims {
	w := d.p.w
	claims, err := d.Memory.Claim(ctx, c)
	if err != nil {
		w.broken("a claim is refused: %v", err)
	}
	var parts []change
	for i := range claims.Runs {
		r := &claims.Runs[i]
		parts = append(parts, change{run: r.Run.ID, events: r.Events[len(r.Events)-1:]})
		w.tell("  disk: %s claims %s, epoch %d, %d posts", d.p.node, r.Run.ID, r.Run.Epoch, len(r.Posts))
		w.hit("claimed")
	}
	if len(parts) > 0 {
		w.written = append(w.written, written{d.p, parts})
	}
	return claims
}

// sync has everything written so far reach the disk, and then says whether it
// did: after a power cut it says no.
func (w *world) sync(then func(ok bool), names ...string) {
	memory := w.memory
	latency := 200*time.Microsecond + w.some(5*time.Millisecond, append(names, "sync", fmt.Sprint(w.now))...)
	if w.roll(12, append(names, "slow", fmt.Sprint(w.now))...) == 0 {
		latency += 400 * time.Millisecond
	}
	w.after(latency, func() {
		if w.memory != memory {
			then(false)
			return
		}
		memory.Sync()
		w.durable(len(w.written))
		then(true)
	})
}

// durable tells the oracle of the first n of what was written.
func (w *world) durable(n int) {
	entries := w.written[:n]
	w.written = append([]written(nil), w.written[n:]...)
	for i := range entries {
		w.oracle.durable(&entries[i])
	}
}

// cut cuts the power: every process dies, and of what was not synced the first
// writes at most have reached the disk.
func (w *world) cut(kept int, down time.Duration) {
	w.hit("power cut")
	if n := len(w.written); n != w.memory.Unsynced() {
		w.broken("the simulator has lost count: %d written, %d not synced", n, w.memory.Unsynced())
		return
	}
	kept = min(kept, len(w.written))
	if lost := len(w.written) - kept; lost > 0 {
		w.hit("writes lost")
		w.tell("power: %d writes kept, %d lost", kept, lost)
	}
	w.durable(kept)
	w.written = nil
	w.memory = w.memory.Tear(kept)
	for len(w.processes) > 0 {
		w.processes[0].gone("the power is cut", down)
	}
	w.oracle.lost()
}
