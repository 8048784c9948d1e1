package darumatest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// fork has a person begin a run that leaves the history of another one, as a
// process does that does not own the journal. A rewind waits for the end of its
// origin, which it cancels.
func (w *world) fork(l line) {
	if w.closing {
		return
	}
	origin := w.oracle.past(daruma.RunID(l.word(1)))
	again := func() { w.after(time.Second, func() { w.fork(l) }) }
	id := daruma.RunID(l.field("as"))
	switch {
	case len(origin.events) == 0:
		again()
		return
	case l.has("replace") && origin.run.Finished() == nil:
		w.send(&letter{run: origin.run.ID(), id: daruma.PostID{Topic: daruma.TopicCancel, Key: "rewind " + string(id)}, payload: encoded(daruma.Reason{Text: "rewound"})})
		again()
		return
	}
	at := l.field("step")
	if n, err := strconv.Atoi(strings.TrimPrefix(at, "n")); err == nil && strings.HasPrefix(at, "n") {
		steps, err := daruma.Steps(origin.run.ID(), "", origin.events)
		if err != nil {
			w.broken("%s has no steps: %v", origin.run.ID(), err)
			return
		}
		if at = "last"; len(steps) > 0 {
			at = steps[n%len(steps)].ID
		}
	}
	f := daruma.Fork{ID: id, At: at, Nonce: "nonce " + w.plan.seed + string(id), By: "user:ann", Allow: l.has("allow"), Replace: l.has("replace")}
	events, err := f.Events(origin.run.ID(), "", origin.events)
	if err != nil {
		w.tell("%s cannot be forked at %s: %v", origin.run.ID(), f.At, err)
		w.hit("fork refused")
		if daruma.KindOf(err) != daruma.KindInvalid {
			w.broken("%s cannot be forked: %v", origin.run.ID(), err)
		}
		return
	}
	last := len(events) - 1
	events[last].Time = stored(w.clock())
	if last > 0 && events[last].Time.Before(events[last-1].Time) {
		events[last].Time = events[last-1].Time
	}
	tx := daruma.Tx{Run: id, Type: daruma.AgentRun, Name: origin.run.Started().Agent, State: daruma.Running, Events: events}
	err = w.memory.Commit(ctx, []daruma.Tx{tx})[0]
	w.tell("ann forks %s at %s as %s: %v", origin.run.ID(), f.At, id, err)
	if err != nil {
		if daruma.KindOf(err) != daruma.KindExists {
			w.broken("a fork is refused: %v", err)
		}
		return
	}
	if w.hit("fork"); f.Replace {
		w.hit("rewind")
	}
	c := change{run: id, tx: &tx}
	for k, e := range events {
		c.events = append(c.events, daruma.Event{Seq: int64(k) + 1, Kind: e.Kind, Time: e.Time, Actor: e.Actor, Payload: e.Payload})
	}
	w.written = append(w.written, written{parts: []change{c}})
	w.bell()
	w.sync(func(ok bool) {
		if !ok { // nobody answered
			again()
		}
	}, "fork", string(id))
}

// copied folds an event that a fork has from its origin, unjudged: it did not
// happen to the fork. It reports whether the event is such.
func (o *oracle) copied(p *past, c change, i int) bool {
	if c.tx == nil || c.tx.Head != 0 {
		return false
	}
	at := slices.IndexFunc(c.events, func(e daruma.Event) bool { return e.Kind == daruma.KindForked && e.Seq == int64(len(c.events)) })
	if at < 0 {
		return false
	}
	e := c.events[i]
	if err := p.run.Apply(e); err != nil {
		o.w.broken("a fork does not fold: %v", err)
		return true
	}
	o.w.digest.Write(e.Payload)
	p.events = append(p.events, e)
	if i == at {
		f := *p.run.Forked()
		p.fork = &f
		o.w.tell("  on disk: %s is forked from %s at %s, with %d writes", p.run.ID(), f.Run, f.At, len(p.run.Record()))
		if p.run.Finished() != nil || p.run.Steps() > 1 || len(p.run.Effects()) > 0 || len(p.run.Children()) > 0 {
			o.w.broken("%s begins with what its origin has used, done or begun", p.run.ID())
		}
	}
	return true
}

// replayed notes that a call was answered from a record, of the run's own writes
// or of those before it.
func (o *oracle) replayed(p *past, r daruma.ToolReplied) {
	switch {
	case p.fork == nil:
		o.w.hit("answered from its own writes")
	case r.Outcome == daruma.Succeeded:
		o.w.hit("answered from the record")
	default:
		o.w.hit("in doubt on the record")
	}
}

// written judges an intent of a fork: what is on the record, because its origin
// has done it or may have, is not done again.
func (o *oracle) written(p *past, c daruma.ToolCalled, args string) {
	spec, _ := o.w.plan.spec(c.Tool)
	if p.fork == nil || spec.Effect == daruma.Read || c.Undoes != "" {
		return
	}
	if b, err := daruma.Canonical([]byte(args)); err == nil {
		args = string(b)
	}
	for _, w := range p.run.Record() {
		if w.Tool == c.Tool && w.Args == args && !(w.Outcome != daruma.Succeeded && p.answers > 0) {
			o.w.broken("%s writes again what %s has on record: %s", c.Command, w.Run, fmt.Sprint(w.Tool, " ", w.Args))
		}
	}
	o.w.hit("write of a fork")
}
