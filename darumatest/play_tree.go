package darumatest

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// undoing is a ladder on which what would be asked of a person ends the run,
// and what it has done is undone.
func undoing() daruma.Ladder {
	ladder := daruma.DefaultLadder()
	for t, rungs := range ladder.Rungs {
		if last := len(rungs) - 1; rungs[last].Remedy == daruma.Escalate && t != daruma.UnknownOutcome {
			rungs = slices.Clone(rungs)
			rungs[last] = daruma.Rung{Remedy: daruma.Abort, Compensate: true}
			ladder.Rungs[t] = rungs
		}
	}
	return ladder
}

// child starts the sub-run of a call, again and again while the journal does
// not say that it has begun.
func (k *work) child(left time.Duration) {
	p, w := k.p, k.p.w
	if k.over || !p.alive {
		return
	}
	mine := !p.draining
	in, came, err := p.step.Child(ctx, w.clock(), k.task, "nonce "+w.plan.seed+string(k.cmd.Child), mine)
	w.tell("%s starts sub-run %s: %v", p.node, k.cmd.Child, err)
	w.bell()
	var again bool
	switch daruma.KindOf(err) {
	case daruma.KindDown:
		p.die("its journal is down")
		return
	case daruma.KindUnavailable, daruma.KindTimeout, daruma.KindExhausted, daruma.KindCancelled:
		again = true
	}
	if mine {
		p.starts++
	}
	w.sync(func(ok bool) {
		if mine {
			p.starts--
		}
		if !ok || !p.alive {
			return
		}
		p.tell("sub-run "+string(k.cmd.Child), in, 0)
		reply := daruma.ToolReplied{Command: k.cmd.ID, Call: k.cmd.Call, Tool: k.cmd.Tool, Outcome: daruma.Failed, Kind: daruma.KindOf(err), Text: "made to fail"}
		switch {
		case err == nil:
			k.back("child.started "+string(k.cmd.ID), came)
		case again && left > time.Second:
			w.hit("sub-run started again")
			w.after(time.Second, func() { k.child(left - time.Second) })
		case again:
			reply.Outcome, reply.Kind = daruma.Doubtful, daruma.KindDoubt
			fallthrough
		default:
			k.comes(0, daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, reply))
		}
	}, "child", string(k.cmd.Child))
}

// child is one call that is a sub-run, as the events of its parent tell it.
type child struct {
	call daruma.ToolCalled
	run  daruma.RunID // once it has begun
	over bool         // its result is folded in
}

// calling reports whether calls are in flight besides those that are sub-runs,
// which the next process begins as the same.
func (p *past) calling() bool {
	for _, key := range p.flying {
		if p.children[key] == nil {
			return true
		}
	}
	return false
}

// mailed notes what runs tell each other with a Tx.
func (o *oracle) mailed(tx *daruma.Tx) {
	if tx == nil {
		return
	}
	for _, post := range tx.Posts {
		p, id := o.past(post.Run), daruma.PostID{Topic: post.Topic, Key: post.Key}
		if p.posts[id] == nil {
			p.posts[id] = &letter{run: post.Run, id: id, payload: post.Payload, at: post.Time}
		}
	}
}

// delegated judges the intent of a call that is a sub-run: what all that are
// out may use, and what was used, is never above the limit.
func (o *oracle) delegated(p *past, c daruma.ToolCalled) {
	if c.Share == nil {
		return
	}
	known := p.children[c.Key]
	if known == nil {
		known = &child{}
		p.children[c.Key] = known
	}
	known.call = c
	steps := p.run.Steps()
	for _, out := range p.children {
		if !out.over {
			steps += out.call.Share.Steps
		}
	}
	if most := p.run.Started().Limits.Steps; steps > most && !p.loose {
		o.w.broken("%s has used or given away %d steps of %d", c.Command, steps, most)
	}
}

// born judges the begin of a run that is a sub-run.
func (o *oracle) born(p *past) {
	s, id := p.run.Started(), p.run.ID()
	if s.Parent == nil {
		return
	}
	o.w.hit("sub-run")
	if s.Parent.Depth > 1 {
		o.w.hit("sub-run of a sub-run")
	}
	parent := o.past(s.Parent.Run)
	c := parent.children[s.Parent.Key]
	switch {
	case c == nil:
		o.w.broken("%s begins, and no call of %s has asked for it", id, s.Parent.Run)
		return
	case c.run != "" && c.run != id:
		o.w.broken("%s and %s are sub-runs of one call", c.run, id)
	case s.Parent.Depth > parent.run.Started().Limits.Depth:
		o.w.broken("%s is nested %d deep, the limit is %d", id, s.Parent.Depth, parent.run.Started().Limits.Depth)
	}
	c.run = id
	if share := c.call.Share; s.Limits.Steps > share.Steps || s.Limits.Tokens > share.Tokens || s.Limits.Time > share.Time {
		o.w.broken("%s has limits above its share: %+v, %+v", id, s.Limits, share)
	}
}

// childStarted judges what a run says of a sub-run.
func (o *oracle) childStarted(p *past, s daruma.ChildStarted) {
	if len(o.past(s.Run).events) == 0 {
		o.w.broken("%s says that %s has begun, which is not on disk", p.run.ID(), s.Run)
	}
	delete(p.flying, s.Command)
}

// childEnded judges the result that a run gets from a sub-run.
func (o *oracle) childEnded(p *past, post daruma.Post) {
	var end daruma.ChildResult
	if json.Unmarshal(post.Payload, &end) != nil {
		o.w.broken("%s gets a result from %s that cannot be read", p.run.ID(), post.By)
		return
	}
	c, f := p.children[end.Key], o.past(end.Run).run.Finished()
	switch {
	case c == nil || c.run != end.Run:
		o.w.broken("%s gets a result of %s, which is no sub-run of it", p.run.ID(), end.Run)
		return
	case f == nil || f.State != end.State:
		o.w.broken("%s is told that %s is %s, and it is %s", p.run.ID(), end.Run, end.State, o.past(end.Run).run.State())
	case c.over:
		o.w.broken("%s gets a second result of %s", p.run.ID(), end.Run)
	}
	c.over = true
	maps.DeleteFunc(p.flying, func(_ daruma.CommandID, key string) bool { return key == end.Key })
	if end.State == daruma.Completed || end.State == daruma.Degraded {
		p.done[end.Key] = int64(len(p.events))
	}
	o.w.hit("sub-run " + end.State.String())
}

// raise notes that limits of a run were raised, which those above it bear.
func (o *oracle) raise(p *past) {
	for p.loose = true; p.run.Started().Parent != nil; p.loose = true {
		p = o.past(p.run.Started().Parent.Run)
	}
}

// reached judges that a run which was told to stop has told its sub-runs.
func (o *oracle) reached(p *past) {
	if !p.ending || p.run.Finished() != nil {
		return
	}
	for _, id := range p.run.Children() {
		q := o.past(id)
		told := q.posts[daruma.PostID{Topic: daruma.TopicCancel, Key: "parent"}] != nil || q.posts[daruma.PostID{Topic: daruma.TopicCancel, Key: "parent, compensate"}] != nil
		if q.run.Finished() == nil && !told {
			o.w.broken("%s is to stop, and its sub-run %s does not hear of it", p.run.ID(), id)
		}
		o.w.hit("cancel of a sub-run")
	}
}

// childless judges that no sub-run goes on without its parent, and that each
// has told what came of it.
func (o *oracle) childless(p *past) {
	for _, key := range slices.Sorted(maps.Keys(p.children)) {
		c := p.children[key]
		if c.run == "" || len(p.told) > 0 || p.answers > 0 {
			continue
		}
		if o.past(c.run).run.Finished() == nil {
			o.w.broken("%s ends before its sub-run %s", p.run.ID(), c.run)
		} else if !c.over {
			o.w.broken("%s ends without the result of its sub-run %s", p.run.ID(), c.run)
		}
	}
}
