package daruma

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Forked is where a run leaves the history of another: every event before it
// happened to the origin, every event after it to the run itself. It holds all
// a fold needs of the origin; the origin may change or be lost.
//
// The limits count anew from here: what the origin used, it has paid.
type Forked struct {
	Run     RunID            `json:"run"`               // the origin
	Seq     int64            `json:"seq"`               // of the origin's last event before this one
	Hash    Digest           `json:"hash"`              // [Chain] of the origin at Seq
	At      string           `json:"at"`                // the step that is done anew, "turn/n" of the origin
	Change  Change           `json:"change,omitzero"`   // what is different from here on
	Allow   bool             `json:"allow,omitempty"`   // writes that are not on the record need no approval on account of the fork
	Replace bool             `json:"replace,omitempty"` // a rewind: the origin was stopped, this run goes on in its place
	Nonce   string           `json:"nonce"`             // replaces that of the origin
	Key     string           `json:"key,omitempty"`     // the caller's idempotency key
	Record  map[string]Write `json:"record,omitempty"`  // what the origin, and those before it, had written when it was forked, after the step too
}

// Change is what a fork does otherwise than its origin. Zero fields change
// nothing.
type Change struct {
	Models       []string          `json:"models,omitempty"`       // names of targets, best first, in the place of the origin's
	Instructions *string           `json:"instructions,omitempty"` // system prompt; empty: none
	Input        *Message          `json:"input,omitempty"`        // what the run was asked to do
	Args         map[string]string `json:"args,omitempty"`         // arguments, a JSON object, of calls the step's turn has not made yet: by step or, where it is the only one, by tool
	Limits       Limits            `json:"limits,omitzero"`        // each non-zero field replaces the origin's
	Ladder       *Ladder           `json:"ladder,omitempty"`
}

// Fork asks for a run that begins as another one did, up to a step, and goes
// on from there. Of, At, ID and Nonce are needed.
//
// A fork does not repeat effects. A call with an effect that equals one of the
// origin in tool and canonical arguments is answered from the origin's record,
// whether the origin made it before the step or after it; one whose outcome
// the origin did not know is asked of a human. Any other needs an approval,
// unless Allow. Reads and model calls are made again.
type Fork struct {
	ID      RunID  // of the new run
	At      string // the step to do anew: "turn/n" as in [Steps]; "turn" means its first step; "last" the last one
	Nonce   string // random, see [Started]
	Key     string
	By      Actor
	Change  Change
	Allow   bool
	Replace bool
}

// Events returns the events with which the fork begins: those of the origin
// before the step, addressed to the new run, and run.forked, whose Time is
// left to the shell. The events given are all of the origin, from its first;
// they are not modified.
//
// Errors: KindInvalid for a step that the origin does not have, or a change
// that does not fit it, naming what is accepted; those of [Run.Apply] for an
// origin that cannot be folded.
func (f Fork) Events(origin RunID, tenant Tenant, events []Event) ([]Event, error) {
	const op = "daruma.Fork"
	w, err := walk(origin, tenant, events)
	if err != nil {
		return nil, err
	}
	step, err := w.find(f.At)
	if err != nil {
		return nil, err
	}
	forked := Forked{Run: origin, Seq: step.Seq, At: step.ID, Change: f.Change, Allow: f.Allow, Replace: f.Replace,
		Nonce: f.Nonce, Key: f.Key, Record: w.record()}
	var out []Event
	for _, e := range events[:step.Seq] {
		forked.Hash = Chain(forked.Hash, tenant, origin, e)
		if e.Kind == KindCheckpoint {
			continue // a cache of a run with another id
		}
		if e, err = readdressed(e, origin, f.ID); err != nil {
			return nil, &Failure{Op: op, Kind: KindCorrupt, Err: err}
		}
		e.Seq = int64(len(out) + 1)
		out = append(out, e)
	}
	run, err := Fold(f.ID, tenant, out)
	if err != nil {
		return nil, err
	}
	if err := f.Change.check(run); err != nil {
		return nil, &Failure{Op: op, Kind: KindInvalid, Err: err}
	}
	e := NewEvent(KindForked, f.By, forked)
	if err := run.Apply(e); err != nil {
		return nil, err
	}
	e.Seq = run.Head()
	return append(out, e), nil
}

// readdressed returns an event of the origin as one of the fork: commands bear
// its id, the rest is left as it was.
func readdressed(e Event, from, to RunID) (Event, error) {
	if e.Kind == KindStarted {
		var p Started
		if err := json.Unmarshal(e.Payload, &p); err != nil {
			return e, err
		}
		p.Origin, p.Key = from, ""
		return Event{Kind: e.Kind, Time: e.Time, Actor: e.Actor, Payload: NewEvent(e.Kind, e.Actor, p).Payload}, nil
	}
	out := Event{Kind: e.Kind, Time: e.Time, Actor: e.Actor, Payload: slices.Clone(e.Payload)}
	if !bytes.Contains(e.Payload, []byte(`"command"`)) {
		return out, nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(e.Payload, &members); err != nil {
		return e, err
	}
	var command CommandID
	if json.Unmarshal(members["command"], &command) != nil || !strings.HasPrefix(string(command), string(from)+"/") {
		return out, nil
	}
	var err error
	if members["command"], err = json.Marshal(string(to) + string(command[len(from):])); err != nil {
		return e, err
	}
	out.Payload, err = json.Marshal(members)
	return out, err
}

// check refuses a change that does not fit where the run stands.
func (c Change) check(r *Run) error {
	if err := c.Limits.Check(); err != nil {
		return err
	}
	if c.Ladder != nil {
		if err := c.Ladder.Check(); err != nil {
			return err
		}
	}
	if c.Input != nil && c.Input.Text == "" && c.Input.Ref.IsZero() {
		return Fail("", KindInvalid, "input is empty; accepted: what the run is asked to do")
	}
	seen := map[int]string{}
	for name, args := range c.Args {
		i := r.callNamed(name)
		if i < 0 {
			return Fail("", KindInvalid, "arguments of %q: no such call is open in the step; accepted: %s", name, r.openCalls())
		}
		if seen[i] != "" {
			return Fail("", KindInvalid, "arguments of %q and %q: both name one call", name, seen[i])
		}
		seen[i] = name
		if _, err := Canonical([]byte(args)); err != nil || !strings.HasPrefix(strings.TrimSpace(args), "{") {
			return Fail("", KindInvalid, "arguments of %q are %q; accepted: a JSON object", name, excerpt(args, 100))
		}
	}
	return nil
}

// callNamed returns the index of the one call of this turn that is not done
// and has the name as its step or tool, -1 for none.
func (r *Run) callNamed(name string) int {
	found := -1
	for i := range r.s.Calls {
		switch c := &r.s.Calls[i]; {
		case c.Phase == callDone:
		case name == r.step(c.N):
			return i
		case name == c.Tool && found >= 0:
			return -1
		case name == c.Tool:
			found = i
		}
	}
	return found
}

func (r *Run) openCalls() string {
	var names []string
	for i := range r.s.Calls {
		if c := &r.s.Calls[i]; c.Phase != callDone {
			names = append(names, r.step(c.N)+" ("+c.Tool+")")
		}
	}
	if len(names) == 0 {
		return "none, the step is a model call"
	}
	return strings.Join(names, ", ")
}
