package darumatest

import (
	"encoding/json"

	"github.com/daruma-run/daruma"
)

// before judges an event by the run as it is before it.
func (o *oracle) before(p *past, e daruma.Event) {
	if f := p.run.Finished(); f != nil {
		o.w.broken("%s goes on after its end (%s) with %s", p.run.ID(), f.State, e.Kind)
	}
	switch e.Kind {
	case daruma.KindTimer:
		fired := read[daruma.TimerFired](o, e)
		_, commands := p.run.Next()
		for _, c := range commands {
			if c.ID == fired.Command && e.Time.Before(c.Until) {
				o.w.broken("the wait %s ends at %s, before its time %s", c.ID, e.Time, c.Until)
			}
		}
	case daruma.KindReceived:
		post := read[daruma.Post](o, e)
		var a daruma.Answer
		if post.Topic != daruma.TopicAnswer || json.Unmarshal(post.Payload, &a) != nil {
			break
		}
		if park := p.run.Parked(); park != nil && park.Reason != daruma.ParkApproval && a.Question != park.ID {
			p.stale = park.ID
		}
	}
	if claim := e.Kind == daruma.KindClaimed; !claim {
		p.deaths = 0
	} else if !read[daruma.Claim](o, e).Clean {
		p.deaths++
	}
}

// confirmed notes that a call has happened, as far as the run knows.
func (o *oracle) confirmed(p *past, r daruma.ToolReplied, seq int64) {
	key := o.keyOf(p, r.Call)
	if c, ok := p.intents[r.Command]; ok {
		key = c.Key
		if c.Undoes != "" {
			if p.undone[c.Undoes] {
				o.w.broken("%s undoes %s a second time", r.Command, c.Undoes)
			}
			p.undone[c.Undoes] = true
			o.w.hit("undone")
		}
	}
	if p.done[key] == 0 {
		p.done[key] = seq
	}
}

// undoes judges the order in which calls are undone: the last one first.
func (o *oracle) undoes(p *past, c daruma.ToolCalled) {
	if c.Undoes == "" {
		return
	}
	if p.undone[c.Undoes] {
		o.w.broken("%s undoes %s, which was undone", c.Command, c.Undoes)
	}
	if len(p.flying) > 1 {
		o.w.broken("%s undoes %s while something else is in flight", c.Command, c.Undoes)
	}
	if p.done[c.Undoes] == 0 && len(p.told) == 0 && p.answers == 0 {
		o.w.broken("%s undoes %s, which is not known to be done", c.Command, c.Undoes)
	}
	if done := p.done[c.Undoes]; done > 0 && len(p.told) == 0 && p.answers == 0 {
		if p.undoing > 0 && done > p.undoing {
			o.w.broken("%s undoes what was done at %d after what was done at %d", c.Command, done, p.undoing)
		}
		p.undoing = done
	}
}

// happened judges an effect against the ledger.
func (o *oracle) happened(e *effect) {
	if e.times > 1 && !e.lied && !(e.spec.Effect == daruma.Unsafe && e.spec.OnDoubt == daruma.DoubtRetry) {
		o.w.broken("%s happens %d times", e.call, e.times)
	}
	if e.spec.Repeats() != daruma.RepeatReplay || e.undo {
		return
	}
	for _, other := range o.w.outside.calls {
		if other == e || other.run != e.run || other.what != e.what || other.times == 0 {
			continue
		}
		if other.lied || e.lied || other.asked || e.asked || other.undo {
			return
		}
		if e.spec.Repeat == daruma.RepeatAuto && e.spec.Effect == daruma.Unsafe && o.w.outside.more(e) {
			return // the world has changed since, perhaps, and so may what it does
		}
		o.w.broken("%s happens again, after %s", e.call, other.call)
		return
	}
}

// record compares what a run that ends knows of its effects with what really
// happened.
func (o *oracle) record(p *past) {
	for _, r := range p.run.Effects() {
		e := o.w.outside.keyed(r.Key)
		spec, _ := o.w.plan.spec(r.Tool)
		switch {
		case spec.Agent != "": // judged with its run
		case e != nil && e.lied:
		case r.State == daruma.EffectConfirmed && (e == nil || e.times == 0):
			o.w.broken("%s takes %s with key %s for done, and nothing happened", p.run.ID(), r.Tool, r.Key)
		case r.State == daruma.EffectFailed && e != nil && e.times > 0:
			o.w.broken("%s takes %s for not done, and it happened", p.run.ID(), e.call)
		}
	}
}

// former reports whether the process has lost the run, and may not know it.
func (o *oracle) former(by *process, k *work) bool {
	info, err := o.w.memory.Run(ctx, k.task.Run())
	return err != nil || info.Epoch != k.task.Epoch() || info.Node != by.node
}
