package darumatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// oracle watches a history and knows what must hold, from what is on disk, from
// its own ledger and from nothing the machine says of itself.
type oracle struct {
	w    *world
	runs map[daruma.RunID]*past
}

// past is what is on disk of one run.
type past struct {
	run       *daruma.Run // folded from the first event, without any checkpoint
	events    []daruma.Event
	intents   map[daruma.CommandID]daruma.ToolCalled
	keys      map[string]string           // key by call
	flying    map[daruma.CommandID]string // calls with an intent and no result, by key
	doubt     map[string]string           // keys of calls that may have happened: the tool
	told      map[string]bool             // keys of calls of which somebody outside has said what became of them
	approvals []question
	parks     int
	posts     map[daruma.PostID]*letter
	unsure    map[*process]bool // who does not know what became of a Tx
	done      map[string]int64  // event that confirmed a call, by key
	undone    map[string]bool   // keys of calls
	undoing   int64             // event that confirmed the call undone last
	deaths    int               // claims from dead processes without an event between
	question  string            // asked last
	stale     string            // question that an answer to another one must leave open
	acked     bool
	raised    int // limits
	answers   int
	children  map[string]*child // by the key of the call
	loose     bool              // somebody has raised limits of it, or of a run below it
	ending    bool              // it was told to stop
	aborting  bool              // it has given up
	fork      *daruma.Forked    // what it was forked from
}

// question is an approval and the turn it was asked in.
type question struct {
	daruma.Approval
	turn int
}

// past returns what is known of a run.
func (o *oracle) past(id daruma.RunID) *past {
	p := o.runs[id]
	if p == nil {
		p = &past{run: daruma.NewRun(id, ""), intents: map[daruma.CommandID]daruma.ToolCalled{}, keys: map[string]string{},
			flying: map[daruma.CommandID]string{}, doubt: map[string]string{}, told: map[string]bool{}, done: map[string]int64{}, undone: map[string]bool{}, posts: map[daruma.PostID]*letter{}, unsure: map[*process]bool{}, children: map[string]*child{}}
		o.runs[id] = p
	}
	return p
}

// acknowledged notes that the caller of a start was told it is durable.
func (o *oracle) acknowledged(id daruma.RunID) {
	p := o.past(id)
	if p.acked = true; len(p.events) == 0 {
		o.w.broken("the start of %s is acknowledged and not on disk", id)
	}
}

// unsure notes that a process was told of a failure that says nothing about
// what became of its Tx.
func (o *oracle) unsure(p *process, id daruma.RunID) { o.past(id).unsure[p] = true }

// refused judges the journal's refusal of a Tx: a sound machine gets none,
// unless it was left in the dark or has lost the run.
func (o *oracle) refused(p *process, tx *daruma.Tx, err error) {
	kind := daruma.KindOf(err)
	info, lookup := o.w.memory.Run(ctx, tx.Run)
	switch {
	case kind == daruma.KindFenced && (info.Node != p.node || info.Epoch != tx.Epoch):
		o.w.hit("fenced")
	case tx.Head == 0 && kind == daruma.KindExists && lookup == nil:
	case (kind == daruma.KindConflict || kind == daruma.KindExists) && o.past(tx.Run).unsure[p]:
		o.w.hit("unsure commit")
	default:
		o.w.broken("the journal refuses a Tx of %s by %s: %v", tx.Run, p.node, err)
	}
}

// durable folds in what has reached the disk.
func (o *oracle) durable(entry *written) {
	for _, c := range entry.parts {
		p := o.past(c.run)
		o.mailed(c.tx)
		for i, e := range c.events {
			if o.copied(p, c, i) {
				continue
			}
			o.w.digest.Write(e.Payload)
			o.fold(p, e)
			if o.w.failure != nil {
				return
			}
		}
		o.limits(p)
		o.reached(p)
		if tx := c.tx; tx != nil && tx.Release {
			if p.calling() && !entry.by.cutting && !p.unsure[entry.by] {
				o.w.broken("%s is given up with calls in flight: %v", c.run, slices.Sorted(maps.Keys(p.flying)))
			}
			if state := p.run.State(); tx.State != daruma.Running && (tx.State != state || !tx.WakeAt.Equal(p.run.WakeAt())) {
				o.w.broken("%s is given up as %s until %s, and is %s until %s", c.run, tx.State, tx.WakeAt, state, p.run.WakeAt())
			}
		}
	}
}

// fold folds one event in, and judges it.
func (o *oracle) fold(p *past, e daruma.Event) {
	o.before(p, e)
	if err := p.run.Apply(e); err != nil {
		o.w.broken("what is on disk does not fold: %v", err)
		return
	}
	p.events = append(p.events, e)
	id := p.run.ID()
	o.w.tell("  on disk: %s %d %s", id, e.Seq, e.Kind)
	switch e.Kind {
	case daruma.KindStarted:
		o.born(p)
	case daruma.KindChild:
		o.childStarted(p, read[daruma.ChildStarted](o, e))
	case daruma.KindClaimed:
		for c, key := range p.flying {
			if p.children[key] != nil {
				continue // begun again, it is the same
			}
			p.doubt[key] = p.intents[c].Tool
			delete(p.flying, c)
		}
	case daruma.KindToolCalled:
		o.called(p, read[daruma.ToolCalled](o, e))
	case daruma.KindToolReplied:
		r := read[daruma.ToolReplied](o, e)
		switch {
		case r.Replayed && r.Took == 0:
			o.replayed(p, r)
		case r.Outcome == daruma.Succeeded:
			o.confirmed(p, r, e.Seq)
		}
		if key, ok := p.flying[r.Command]; ok {
			delete(p.flying, r.Command)
			switch r.Outcome {
			case daruma.Doubtful:
				p.doubt[key] = r.Tool
			case daruma.Succeeded:
				delete(p.doubt, key)
			}
		} else if r.Outcome == daruma.Succeeded || r.Outcome == daruma.Absent { // of a verification
			delete(p.doubt, o.keyOf(p, r.Call))
		}
	case daruma.KindUndo:
		o.w.hit("undo of a run that is " + read[daruma.Undo](o, e).End.State.String())
	case daruma.KindMove:
		remedy := read[daruma.Move](o, e).Remedy
		p.aborting = p.aborting || remedy == daruma.Abort
		o.w.hit(remedy.String())
	case daruma.KindSignal:
		o.w.hit(read[daruma.Signal](o, e).Type.String())
	case daruma.KindReceived:
		if q := p.stale; q != "" {
			p.stale = ""
			if park := p.run.Parked(); park == nil || park.ID != q {
				o.w.broken("an answer to another question settles %s", q)
			}
			o.w.hit("answer to another question")
		}
		o.received(p, read[daruma.Post](o, e))
	case daruma.KindApproval:
		a := read[daruma.Approval](o, e)
		p.approvals = append(p.approvals, question{a, p.run.Turn()})
		o.w.asked(p, a, len(p.approvals))
	case daruma.KindParked:
		p.parks++
		o.w.parked(p, read[daruma.Parked](o, e), p.parks)
	case daruma.KindTurnEnded:
		if len(p.flying) > 0 {
			o.w.broken("%s ends a turn with a call in flight", id)
		}
		clear(p.doubt)
	case daruma.KindCheckpoint:
		o.w.hit("checkpoint")
		o.checkpoint(p, len(p.events)-1)
	case daruma.KindFinished:
		o.finished(p, read[daruma.Finished](o, e))
	}
}

// read decodes a payload.
func read[T any](o *oracle, e daruma.Event) (v T) {
	if err := json.Unmarshal(e.Payload, &v); err != nil {
		o.w.broken("event %d (%s) cannot be read: %v", e.Seq, e.Kind, err)
	}
	return v
}

// called judges an intent.
func (o *oracle) called(p *past, c daruma.ToolCalled) {
	results := p.run.Results()
	if c.Call >= len(results) {
		o.w.broken("%s calls what its model did not ask for", c.Command)
		return
	}
	if _, again := p.intents[c.Command]; again {
		o.w.broken("%s has two intents", c.Command)
	}
	if p.run.Finished() == nil {
		o.delegated(p, c)
		o.written(p, c, results[c.Call].Args)
	}
	o.keyed(p, nameOf(p.run.ID(), p.run.Turn(), c.Call, c.Tool, results[c.Call].Args), c.Key)
	p.intents[c.Command], p.flying[c.Command] = c, c.Key
	o.undoes(p, c)
}

// keyed judges the key of a call: one call, one key.
func (o *oracle) keyed(p *past, call, key string) {
	if had, ok := p.keys[call]; ok && had != key {
		o.w.broken("two keys for one call: %s has %s and %s", call, had, key)
	}
	for other, had := range p.keys {
		if had == key && other != call {
			o.w.broken("one key for two calls: %s and %s", other, call)
		}
	}
	p.keys[call] = key
}

// keyOf is the key of a call of the current turn.
func (o *oracle) keyOf(p *past, call int) string {
	if results := p.run.Results(); call < len(results) {
		c := results[call]
		return p.keys[nameOf(p.run.ID(), p.run.Turn(), call, c.Tool, c.Args)]
	}
	return ""
}

// received judges a post that was folded in.
func (o *oracle) received(p *past, post daruma.Post) {
	l := p.posts[daruma.PostID{Topic: post.Topic, Key: post.Key}]
	if l == nil {
		o.w.broken("%s was told %s %s by nobody", p.run.ID(), post.Topic, post.Key)
		return
	}
	if l.folded++; l.folded > 1 {
		o.w.broken("%s folds %s %s in twice", p.run.ID(), post.Topic, post.Key)
	}
	switch post.Topic {
	case daruma.TopicAnswer: // a person has taken it on
		clear(p.doubt)
	case daruma.TopicCancel:
		p.ending = true
	case daruma.TopicPolicy:
		o.raise(p)
	case daruma.TopicChild:
		o.childEnded(p, post)
	case daruma.TopicResult: // said perhaps before the call is in doubt
		var st daruma.Settlement
		if json.Unmarshal(post.Payload, &st) == nil {
			p.told[st.Key] = true
		}
	}
	o.w.hit("post " + post.Topic)
}

// finished judges the end of a run.
func (o *oracle) finished(p *past, f daruma.Finished) {
	o.w.hit(f.State.String())
	if len(p.flying) > 0 {
		o.w.broken("%s ends as %s with calls in flight: %v", p.run.ID(), f.State, slices.Sorted(maps.Keys(p.flying)))
	}
	o.record(p)
	o.childless(p)
	for _, key := range slices.Sorted(maps.Keys(p.doubt)) {
		if f.State == daruma.Cancelled && !p.told[key] && !slices.ContainsFunc(f.Missing, func(m string) bool { return strings.Contains(m, key) }) {
			o.w.broken("%s is cancelled and does not say that %s with key %s is in doubt", p.run.ID(), p.doubt[key], key)
		}
	}
}

// limits judges what a run has used.
func (o *oracle) limits(p *past) {
	if steps, most := p.run.Steps(), p.run.Started().Limits.Steps; steps > most && !p.loose {
		o.w.broken("%s took %d steps of %d", p.run.ID(), steps, most)
	}
	for _, f := range p.run.Falls() {
		if len(f.Moves) > 60 {
			o.w.broken("%s: fall %s of %s took %d moves", p.run.ID(), f.Type, f.Subject, len(f.Moves))
		}
	}
}

// begins judges a command as it is begun.
func (o *oracle) begins(by *process, k *work) {
	id := k.task.Run()
	p := o.past(id)
	for _, other := range by.works {
		same := other.cmd.ID == k.cmd.ID || other.cmd.Op == daruma.OpCallTool && k.cmd.Op == daruma.OpCallTool && other.cmd.Key == k.cmd.Key
		if same && other.task.Run() == id {
			o.w.broken("%s begins while it is under way", k.cmd.ID)
		}
	}
	c := k.cmd
	former := o.former(by, k)
	if most := p.run.Started().Limits.Claims; p.deaths >= most && !former && !((p.ending || p.aborting) && c.Op == daruma.OpStartRun) { // one that ends must know its sub-runs
		o.w.broken("%s begins after %d processes have died with it; the limit is %d", c.ID, p.deaths, most)
	}
	spec, known := o.w.plan.spec(c.Tool)
	if _, ok := p.intents[c.ID]; !ok && (c.Op == daruma.OpStartRun || c.Op == daruma.OpCallTool) && (!known || spec.Effect != daruma.Read) {
		o.w.broken("%s begins before its intent is on disk", c.ID)
	}
	if c.Op == daruma.OpCallTool || c.Op == daruma.OpStartRun {
		call := nameOf(id, k.turn, c.Call, c.Tool, c.Args)
		o.keyed(p, call, c.Key)
		if known && (spec.Approve || spec.Danger() >= p.run.Started().Limits.Approve) && !o.allowed(p, k) {
			o.w.broken("%s begins without a yes: %s", c.ID, call)
		}
	}
	if former || p.unsure[by] {
		o.w.hit("begun by a former owner")
		return
	}
	events, commands := p.run.Next()
	i := slices.IndexFunc(commands, func(d daruma.Command) bool { return d.ID == c.ID })
	switch {
	case i < 0:
		o.w.broken("%s begins, and what is on disk does not ask for it", c.ID)
	case len(events) > 0 && !by.draining && c.Op != daruma.OpCallTool:
		o.w.broken("%s begins before %s, which it follows from, is on disk", c.ID, events[0].Kind)
	default:
		d := commands[i]
		if d.Op != c.Op || d.Tool != c.Tool || d.Args != c.Args || d.Key != c.Key || d.Target != c.Target || d.Attempt != c.Attempt || d.Approved != c.Approved {
			o.w.broken("%s begins as %+v, and what is on disk asks for %+v", c.ID, c, d)
		}
	}
}

// allowed reports whether somebody said yes to this call, in time.
func (o *oracle) allowed(p *past, k *work) bool {
	args := k.cmd.Args
	if b, err := daruma.Canonical([]byte(args)); err == nil {
		args = string(b)
	}
	for _, q := range p.approvals {
		l := p.posts[daruma.PostID{Topic: daruma.TopicApproval, Key: q.ID}]
		if l == nil || q.turn != k.turn || q.Call != k.cmd.Call || q.Tool != k.cmd.Tool || q.Args != args {
			continue
		}
		var d daruma.Decision
		if json.Unmarshal(l.payload, &d) == nil && d.Approve && d.Hash == q.Hash && !l.at.After(q.Expires) {
			return true
		}
	}
	return false
}

// seen judges what an observer is told: events on disk, in their order.
func (o *oracle) seen(id daruma.RunID, events []daruma.Event) {
	p := o.past(id)
	if last := events[len(events)-1]; last.Seq > int64(len(p.events)) && last.Seq > 0 {
		o.w.broken("an observer of %s is told of event %d, of which %d are on disk", id, last.Seq, len(p.events))
	}
}

// allOver reports whether every run has ended, on disk.
func (o *oracle) allOver() bool {
	for _, p := range o.runs {
		if len(p.events) > 0 && p.run.Finished() == nil {
			return false
		}
	}
	return true
}

// unfinished says where the runs stand that have not ended.
func (o *oracle) unfinished() error {
	var all []error
	for _, id := range slices.Sorted(maps.Keys(o.runs)) {
		if r := o.runs[id].run; r.Finished() == nil && len(o.runs[id].events) > 0 {
			info, _ := o.w.memory.Run(ctx, id)
			all = append(all, fmt.Errorf("%s is %s (%s), held by %q until %s", id, r.State(), r.Note(), info.Node, info.WakeAt))
		}
	}
	return errors.Join(all...)
}
