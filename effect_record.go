package daruma

import "slices"

// EffectState is what is known of a call that may have changed the world. The
// zero EffectState is [EffectPending]. It changes only as [EffectState.To]
// allows.
type EffectState uint8

const (
	EffectPending   EffectState = iota // its intent is on disk; it is or was in flight
	EffectUnknown                      // it may or may not have happened: being found out, or asked of a human
	EffectConfirmed                    // it happened
	EffectFailed                       // it did not happen, or failed without effect
	EffectUndone                       // it happened, and its compensation happened too
)

var effectStateNames = [...]string{"pending", "unknown", "confirmed", "failed", "undone"}

// String returns the stored name, such as "unknown".
func (s EffectState) String() string { return nameOf(effectStateNames[:], s) }

// MarshalText writes the stored name.
func (s EffectState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stored name.
func (s *EffectState) UnmarshalText(b []byte) error {
	return parseName("effect state", effectStateNames[:], b, s)
}

// effectMoves are the transitions there are. Nothing leads from confirmed to
// failed or back but the word of a human on a contradiction, which is no
// transition of a call.
var effectMoves = [...][]EffectState{
	EffectPending:   {EffectUnknown, EffectConfirmed, EffectFailed},
	EffectUnknown:   {EffectPending, EffectConfirmed, EffectFailed},
	EffectConfirmed: {EffectUndone},
	EffectFailed:    {EffectPending}, // sent again under the same key
	EffectUndone:    nil,
}

// To reports whether an effect in state s may come to be in state next.
func (s EffectState) To(next EffectState) bool {
	return int(s) < len(effectMoves) && slices.Contains(effectMoves[s], next)
}

// Settled reports whether nothing more can be learnt about the call.
func (s EffectState) Settled() bool { return s != EffectPending && s != EffectUnknown }

// EffectRecord is one call of a run that may have changed the world. Reads
// leave none.
type EffectRecord struct {
	Key     string      `json:"key"`  // idempotency key, the name of the call for everybody outside
	Step    string      `json:"step"` // id of its first attempt, "turn/n"
	Turn    int         `json:"turn"`
	Call    int         `json:"call"` // index in the turn
	Tool    string      `json:"tool"`
	Effect  Effect      `json:"effect,omitzero"`
	State   EffectState `json:"state"`
	Doubted bool        `json:"doubted,omitempty"` // an attempt was in doubt, and nobody has said yet that it did not happen
	Done    int64       `json:"done,omitzero"`     // Seq of the event that confirmed it: the order of completion
	Undoes  string      `json:"undoes,omitempty"`  // key of the call that this one undoes

	Within []string `json:"within,omitempty"` // of a sub-run: its effects that stand, in words

	// Of a call that can be undone: what its compensation is made from.
	Args string `json:"args,omitempty"`
	Text string `json:"text,omitempty"` // its result
	Ref  Digest `json:"ref,omitzero"`   // of a large result
}

// Effects returns every call with an effect, in the order of their intents.
// The caller must not modify it.
func (r *Run) Effects() []EffectRecord { return r.s.Effects }

// effectAt returns the index of the record of a call of this turn, -1 for none.
func (r *Run) effectAt(call int) int {
	for i := len(r.s.Effects) - 1; i >= 0; i-- {
		e := &r.s.Effects[i]
		if e.Turn != r.s.Turn {
			return -1
		}
		if e.Call == call && e.Tool == r.s.Calls[call].Tool {
			return i
		}
	}
	return -1
}

// effectKeyed returns the index of the record with a key, -1 for none.
func (r *Run) effectKeyed(key string) int {
	for i := len(r.s.Effects) - 1; i >= 0; i-- {
		if r.s.Effects[i].Key == key {
			return i
		}
	}
	return -1
}

// intended notes that a call goes out.
func (r *Run) intended(p ToolCalled) {
	if i := r.effectAt(p.Call); i >= 0 {
		r.effectIs(i, EffectPending)
		return
	}
	s := &r.s
	e := EffectRecord{Key: p.Key, Step: p.Command.Step(), Turn: s.Turn, Call: p.Call, Tool: p.Tool, Effect: p.Effect, Undoes: p.Undoes}
	if r.undoable(p.Tool) {
		e.Args = s.Calls[p.Call].Args
	}
	s.Effects = append(s.Effects, e)
}

// known notes what is known of a call of this turn now. A failure of one
// attempt says nothing of an earlier one that is in doubt.
func (r *Run) known(call int, state EffectState) {
	i := r.effectAt(call)
	if i < 0 {
		return
	}
	if state == EffectFailed && r.s.Effects[i].Doubted {
		state = EffectUnknown
	}
	r.effectIs(i, state)
	if e := &r.s.Effects[i]; e.State == EffectConfirmed && r.undoable(e.Tool) { // effectIs has copied the list
		c := &r.s.Calls[call]
		if e.Text = c.Text; e.Text == "" && c.Result != nil {
			e.Text, e.Ref = c.Result.Text, c.Result.Ref
		}
	}
}

// undoable reports whether calls of a tool can be undone, or undo others.
func (r *Run) undoable(tool string) bool {
	return slices.ContainsFunc(r.s.Start.Tools, func(t ToolSpec) bool {
		return t.Compensate != nil && (t.Name == tool || t.Compensate.Tool == tool)
	})
}

// absent notes that a call of this turn is known not to have happened.
func (r *Run) absent(call int) {
	if i := r.effectAt(call); i >= 0 {
		r.effectIs(i, EffectFailed)
	}
}

// unknown reports whether a call of this turn may have happened, although its
// last attempt has failed perhaps.
func (r *Run) unknown(call int) bool {
	i := r.effectAt(call)
	return i >= 0 && r.s.Effects[i].State == EffectUnknown
}

// effectIs changes the state of a record, if such a change there is.
func (r *Run) effectIs(i int, state EffectState) {
	s := &r.s
	if !s.Effects[i].State.To(state) {
		return
	}
	s.Effects = slices.Clone(s.Effects)
	e := &s.Effects[i]
	e.State = state
	switch state {
	case EffectUnknown:
		e.Doubted = true
	case EffectConfirmed:
		e.Doubted, e.Done = false, s.Head
	case EffectFailed:
		e.Doubted = false
	}
}
