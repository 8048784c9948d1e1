package darumatest

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

// outside is the world the tools work on, with a ledger of what really
// happened there.
type outside struct {
	w       *world
	done    map[string]*effect // by the call, as the oracle names it
	calls   []*effect          // the same, in their order
	ordinal map[string]int
}

// effect is what happened for one call of the model: one line of the ledger.
type effect struct {
	call  string
	spec  daruma.ToolSpec
	key   string
	times int  // it happened
	lied  bool // the tool said what was not so: whatever follows is its fault
	fence int  // commands up to this number have no effect any more: somebody was told so
	run   daruma.RunID
	what  string // tool and arguments
	asked bool   // somebody said yes to it
	undo  bool   // it undoes another
}

// next counts something of a run from 1.
func (o *outside) next(what, run string) int {
	o.ordinal[what+" "+run]++
	return o.ordinal[what+" "+run]
}

// nameOf names a call by what the model asked for, whatever key it bears.
func nameOf(run daruma.RunID, turn, call int, tool, args string) string {
	if b, err := daruma.Canonical([]byte(args)); err == nil {
		args = string(b)
	}
	return fmt.Sprintf("%s turn %d call %d %s %s", run, turn, call, tool, args)
}

// effect returns the line of the ledger for a call.
func (o *outside) effect(run daruma.RunID, turn, call int, tool, args, key string) *effect {
	name := nameOf(run, turn, call, tool, args)
	e := o.done[name]
	if e == nil {
		spec, _ := o.w.plan.spec(tool)
		e = &effect{call: name, spec: spec, key: key, run: run, what: nameOf("", 0, 0, tool, args)}
		o.done[name], o.calls = e, append(o.calls, e)
	}
	if e.key == "" { // a person has asked about it before it was ever begun
		e.key = key
	}
	return e
}

// keyed returns what is known of the call with a key, nil for nothing.
func (o *outside) keyed(key string) *effect {
	for _, e := range o.calls {
		if e.key == key {
			return e
		}
	}
	return nil
}

// more reports whether something else has happened, or may have, for the run of
// an effect.
func (o *outside) more(e *effect) bool {
	for _, c := range o.w.oracle.past(e.run).intents { // one that never left its process may have happened, for all the run knows
		if spec, _ := o.w.plan.spec(c.Tool); spec.Effect != daruma.Read && (c.Tool != e.spec.Name || o.keyed(c.Key) == nil) {
			return true
		}
	}
	return slices.ContainsFunc(o.calls, func(c *effect) bool { return c.run == e.run && c.what != e.what && c.spec.Effect != daruma.Read })
}

// happen has the effect of a call take place after a while.
func (o *outside) happen(k *work, e *effect, d time.Duration) {
	o.w.after(d, func() {
		switch {
		case k.unsent:
			return
		case k.n <= e.fence:
			o.w.tell("outside: %s comes too late, nothing is done", e.call)
			return
		case e.spec.Effect == daruma.Read:
			return
		case e.times > 0 && e.spec.Effect != daruma.Unsafe && e.key == k.cmd.Key:
			o.w.tell("outside: %s is replayed", e.call)
			o.w.hit("replayed")
			return
		}
		e.times++
		o.w.tell("outside: %s happens (%d), key %.14s", e.call, e.times, k.cmd.Key)
		o.w.hit("effect " + e.spec.Effect.String())
		o.w.oracle.happened(e)
	})
}

// tool performs a call or a verification.
func (o *outside) tool(k *work) {
	w, run := o.w, k.run()
	n := o.next("call", run)
	l := w.plan.fault(fmt.Sprintf("call %s %d", run, n))
	fault := l.word(3)
	took := 2*time.Millisecond + w.some(700*time.Millisecond, "call", run, fmt.Sprint(n))
	e := o.effect(k.task.Run(), k.turn, k.cmd.Call, k.cmd.Tool, k.cmd.Args, k.cmd.Key)
	e.asked = e.asked || k.cmd.Approved
	e.undo = e.undo || w.oracle.past(e.run).intents[k.cmd.ID].Undoes != ""
	reply := daruma.ToolReplied{Command: k.cmd.ID, Call: k.cmd.Call, Tool: k.cmd.Tool, Outcome: daruma.Succeeded, Took: daruma.Duration(took),
		Text: fmt.Sprintf("%s gave %d for %s", k.cmd.Tool, n, run), Retry: daruma.Duration(l.duration("after"))}
	answer := func(d time.Duration, outcome daruma.Outcome, kind daruma.Kind) {
		if kind == daruma.KindDoubt && e.spec.Effect == daruma.Read {
			outcome, kind = daruma.Failed, daruma.KindTimeout
		}
		if reply.Outcome, reply.Kind = outcome, kind; kind != daruma.KindUnknown {
			reply.Text = "made to fail"
		}
		var blobs []daruma.Blob
		reply.Text, reply.Ref, blobs = large(reply.Text)
		k.comes(d, daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, reply), blobs...)
	}
	if fault != "" {
		w.hit(k.cmd.Op.String() + " " + fault)
	}
	if k.cmd.Op == daruma.OpVerify {
		o.verify(k, e, fault, took, answer)
		return
	}
	if _, known := w.plan.spec(k.cmd.Tool); !known {
		answer(took, daruma.Failed, daruma.KindNotFound)
		return
	}
	if !fits(k.cmd.Args) {
		answer(took, daruma.Failed, daruma.KindInvalid)
		return
	}
	var kind daruma.Kind
	switch {
	case fault == "hang":
		answer(k.cmd.Timeout, daruma.Doubtful, daruma.KindDoubt)
	case fault == "late":
		o.happen(k, e, k.cmd.Timeout+took*4)
		answer(k.cmd.Timeout, daruma.Doubtful, daruma.KindDoubt)
	case fault == "unsure":
		o.happen(k, e, took/2)
		answer(took, daruma.Doubtful, daruma.KindDoubt)
	case fault == "never":
		answer(took, daruma.Doubtful, daruma.KindDoubt)
	case fault == "lie":
		e.lied = true
		o.happen(k, e, took/2)
		answer(took, daruma.Failed, daruma.KindUnavailable)
	case fault == "boast":
		e.lied = true
		answer(took, daruma.Succeeded, daruma.KindUnknown)
	case fault == "big":
		o.happen(k, e, took/2)
		reply.Text = fmt.Sprintf("%*d", daruma.MaxInline+100, n)
		answer(took, daruma.Succeeded, daruma.KindUnknown)
	case fault == "needs_approval" && k.cmd.Approved:
		o.happen(k, e, took/2)
		answer(took, daruma.Succeeded, daruma.KindUnknown)
	case fault != "" && kind.UnmarshalText([]byte(fault)) == nil:
		answer(took, daruma.Failed, kind)
	default:
		o.happen(k, e, took/2)
		answer(took, daruma.Succeeded, daruma.KindUnknown)
	}
}

// verify looks into the ledger. What it calls absent will not happen later.
func (o *outside) verify(k *work, e *effect, fault string, took time.Duration, answer func(time.Duration, daruma.Outcome, daruma.Kind)) {
	o.w.hit("verified")
	switch {
	case fault == "hang":
		answer(k.cmd.Timeout, daruma.Doubtful, daruma.KindTimeout)
	case fault != "":
		answer(took, daruma.Doubtful, daruma.KindUnavailable)
	case o.truth(e, k.n):
		answer(took, daruma.Succeeded, daruma.KindUnknown)
	default:
		answer(took, daruma.Absent, daruma.KindUnknown)
	}
}

// truth says whether a call has happened. If it has not, none of its commands
// up to this number will make it happen.
func (o *outside) truth(e *effect, n int) bool {
	if e.times == 0 {
		e.fence = max(e.fence, n)
	}
	return e.times > 0
}

// fits checks arguments against the schema that every simulated tool has.
func fits(args string) bool {
	var in struct {
		N *int `json:"n"`
	}
	return json.Unmarshal([]byte(args), &in) == nil && in.N != nil
}
