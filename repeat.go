package daruma

import "slices"

// Repeat is what becomes of a call with an effect that equals, in tool and
// canonical arguments, one that the run has made already. The zero Repeat is
// [RepeatAuto].
type Repeat uint8

const (
	RepeatAuto   Repeat = iota // by effect: see [ToolSpec.Repeats]
	RepeatReplay               // answered with the result of the earlier call; nothing is done
	RepeatAsk                  // made again only after an approval
	RepeatAllow                // made again: two equal calls are two wishes
)

var repeatNames = [...]string{"auto", "replay", "ask", "allow"}

// String returns the stored name, such as "replay".
func (r Repeat) String() string { return nameOf(repeatNames[:], r) }

// MarshalText writes the stored name.
func (r Repeat) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a stored name.
func (r *Repeat) UnmarshalText(b []byte) error { return parseName("repeat", repeatNames[:], b, r) }

// Repeats returns what becomes of equal calls: what is declared, else
// [RepeatAllow] for reads and idempotent tools, which change nothing more, and
// [RepeatReplay] for everything else. A model that repeats a write has most
// often not understood that it was done.
//
// Undeclared tools ([Unsafe]) may well be reads, or do something else once the
// world has changed: where nothing else is declared, they are answered from the
// record only as long as the run has written nothing since.
func (t ToolSpec) Repeats() Repeat {
	switch {
	case t.Repeat != RepeatAuto:
		return t.Repeat
	case t.Effect == Read || t.Effect == Idempotent:
		return RepeatAllow
	}
	return RepeatReplay
}

// written is a call with an effect that is over: it was done, or a human went
// on without knowing whether it was.
type written struct {
	Action  Digest  `json:"action"` // of tool and canonical arguments
	Step    string  `json:"step"`
	Key     string  `json:"key"`     // of the [EffectRecord], which may come to say otherwise
	Outcome Outcome `json:"outcome"` // Succeeded or Doubtful
	Text    string  `json:"text,omitempty"`
	Ref     Digest  `json:"ref,omitzero"`
}

// wrote notes a call that ends now, if it was done or may have been.
func (r *Run) wrote(i int) {
	c := &r.s.Calls[i]
	spec, known := r.spec(c.Tool)
	if !known || spec.Effect == Read || c.Phase == callDone || c.Result == nil || c.Result.Of != "" {
		return
	}
	w := written{Action: actionOf(c), Step: c.Result.Command.Step(), Key: r.key(i), Outcome: Succeeded, Text: c.Result.Text, Ref: c.Result.Ref}
	switch {
	case c.Result.Outcome == Succeeded:
	case c.Result.Outcome == Doubtful && !c.Failed: // a human says that it happened
		w.Text, w.Ref = c.Text, Digest{}
	case c.Result.Outcome == Doubtful:
		w.Outcome, w.Text, w.Ref = Doubtful, "", Digest{}
	default: // the last attempt failed; an earlier one may have done it all the same
		if !r.unknown(i) {
			return
		}
		w.Outcome, w.Text, w.Ref = Doubtful, "", Digest{}
	}
	s := &r.s
	if slices.ContainsFunc(s.Written, func(o written) bool { return o.Action == w.Action }) {
		s.Written = slices.DeleteFunc(slices.Clone(s.Written), func(o written) bool { return o.Action == w.Action })
	}
	if c.Phase == callProposed { // no intent: answered from the record of the origin, it was written before this run
		s.Written = slices.Insert(slices.Clone(s.Written), 0, w)
		return
	}
	s.Written = append(s.Written[:len(s.Written):len(s.Written)], w)
}

func actionOf(c *callStep) Digest {
	return DigestOf(appendSized(appendSized(nil, c.Tool), c.canonical()))
}

// repeated returns the earlier call that a proposed one equals, and what
// becomes of it; [RepeatAllow] for a call that is simply made. One that was
// begun, or that a human has allowed, is no repetition.
func (r *Run) repeated(c *callStep, spec ToolSpec) (written, Repeat) {
	repeats := spec.Repeats()
	if repeats == RepeatAllow || c.Attempt > 1 || c.Approved {
		return written{}, RepeatAllow
	}
	action := actionOf(c)
	i := slices.IndexFunc(r.s.Written, func(w written) bool { return w.Action == action })
	if i < 0 {
		return written{}, RepeatAllow
	}
	w := r.s.Written[i].known(r)
	switch {
	case w.Outcome == Failed:
		return written{}, RepeatAllow
	case w.Outcome == Doubtful:
		return w, RepeatAsk
	case spec.Repeat == RepeatAuto && spec.Effect == Unsafe && i < len(r.s.Written)-1:
		return written{}, RepeatAllow
	}
	return w, repeats
}

// known returns the call as it is known now: a settlement, a human or an
// undoing may have come after its end.
func (w written) known(r *Run) written {
	i := r.effectKeyed(w.Key)
	if i < 0 {
		return w
	}
	switch r.s.Effects[i].State {
	case EffectFailed, EffectUndone:
		w.Outcome = Failed
	case EffectConfirmed:
		if w.Outcome != Succeeded {
			w.Outcome, w.Text = Succeeded, "It was done; what it gave is not known."
		}
	default:
		w.Outcome = Doubtful
	}
	return w
}

// held reports whether a proposed call waits for an equal one of the same
// turn, which may make it a repetition: one before it, or a later one that was
// begun while this one was still another tool's.
func (r *Run) held(i int) bool {
	c := &r.s.Calls[i]
	spec, known := r.spec(c.Tool)
	if !known || spec.Repeats() == RepeatAllow || c.Attempt > 1 || c.Approved {
		return false
	}
	for j := range r.s.Calls {
		o := &r.s.Calls[j]
		if j != i && o.Phase != callDone && o.Tool == c.Tool && o.canonical() == c.canonical() && (j < i || r.possible(j)) {
			return true
		}
	}
	return false
}

// possible reports whether a call may have been made, as far as is known.
func (r *Run) possible(i int) bool {
	e := r.effectKeyed(r.key(i))
	return e >= 0 && r.s.Effects[e].State != EffectFailed
}

// fromRecord answers a call with the result of an equal one.
func (r *Run) fromRecord(i int, w written) Event {
	c := &r.s.Calls[i]
	return NewEvent(KindToolReplied, ActorCore, ToolReplied{Command: r.command(c.N), Call: i, Tool: c.Tool,
		Outcome: Succeeded, Text: w.Text, Ref: w.Ref, Replayed: true, Of: w.Step})
}

// applyFromRecord ends a call that was answered from the record: nothing has
// changed, and the model is told so.
func (r *Run) applyFromRecord(i int) {
	c := &r.s.Calls[i]
	r.done(i)
	r.s.Notes = append(slices.Clone(r.s.Notes), "Note from the runtime: "+c.Tool+" was done before with exactly these arguments, in step "+
		c.Result.Of+". It was not done again: the result shown is that of step "+c.Result.Of+
		". Go on from there. If it has to be done once more, say so in your answer.")
}

// whyAgain says, in the approval of a repetition, that it is one.
func whyAgain(w written) string {
	if w.Outcome == Succeeded {
		return ", the same was done in step " + w.Step
	}
	return ", the same was called in step " + w.Step + " and may have been done"
}
