package daruma

import (
	"cmp"
	"encoding/binary"
	"math"
	"time"
)

// Ladder is a policy: for each signal the rungs to climb, in order. It is
// data; [Ladder.Next] interprets it. A signal without rungs of its own uses
// Default. The zero Ladder means [DefaultLadder].
type Ladder struct {
	Rungs   map[SignalType][]Rung `json:"rungs,omitempty"`
	Default []Rung                `json:"default,omitempty"`
}

// Rung is one kind of recovery, taken up to Max times before the next one.
type Rung struct {
	Remedy Remedy `json:"remedy"`
	// Max is how often this rung is taken for one fall, and a retry for each
	// model or tool that is tried. Zero means 1.
	Max int `json:"max,omitzero"`
	// First is the wait before the first retry; later waits grow by Factor.
	// Zero means 100 ms for Retry. A Verify waits at least so long, so that a
	// call that is being processed still is not asked about too soon; zero
	// means at once. Other remedies never wait.
	First Duration `json:"first,omitzero"`
	// Factor multiplies the wait with each retry: zero means 2, 1 is constant.
	Factor float64 `json:"factor,omitzero"`
	// Cap bounds the wait. Zero means 30 s. Where the other side asks for a
	// longer wait than this, the rung is passed over.
	Cap Duration `json:"cap,omitzero"`
	// Compensate, of an Abort, undoes what the run has done before it ends:
	// every effect whose tool declares how, the last first.
	Compensate bool `json:"compensate,omitempty"`
	// Causes restricts the rung to signals of these causes. Empty means any.
	Causes []Cause `json:"causes,omitempty"`
}

// History is all that a ladder looks at.
type History struct {
	Signal Signal
	// Tried are the moves made for this fall so far, oldest first.
	Tried []Move
	// Can is what is possible now: SwitchTool only where an alternative is
	// left, Reflect only while reflections are, and so on. Abort always is.
	Can RemedySet
	// Seed makes the jitter: the same seed gives the same wait.
	Seed string
}

// Move is what a ladder decided. The zero Move aborts.
type Move struct {
	Remedy  Remedy     `json:"remedy"`
	Rung    int        `json:"rung"` // index of the rung taken; -1: below the last one
	Try     int        `json:"try"`  // how often this rung has been taken for this fall, a retry for this target, this time included
	Signal  SignalType `json:"signal"`
	Subject string     `json:"subject"`
	Wait    Duration   `json:"wait,omitzero"`
	Why     string     `json:"why,omitempty"` // one line for people

	Compensate bool `json:"compensate,omitempty"` // of an abort: what was done is undone

	// Filled in by the core after the ladder has chosen.
	Command CommandID `json:"command,omitempty"` // of the wait, or of the attempt that follows
	Target  string    `json:"target,omitempty"`  // the model or tool switched to
	Missing string    `json:"missing,omitempty"` // of a degrade: what the run goes on without
	Args    string    `json:"args,omitempty"`    // of a repair: the arguments the call is made with
	Near    string    `json:"near,omitempty"`    // of a degrade for a tool that does not exist: the one that was probably meant
	Text    string    `json:"text,omitempty"`    // what the model is told
	Cuts    []Cut     `json:"cuts,omitempty"`    // of a compact: what is sent no more
}

// Check refuses a ladder that could climb for ever or hides rungs: every list
// ends with abort, escalate or park and has none of them before its end; no
// number is negative or no number at all; no list is for an unknown signal.
// The error, of KindInvalid, names signal and rung.
func (l Ladder) Check() error {
	if len(l.Default) > 0 {
		if err := checkRungs("default", l.Default); err != nil {
			return err
		}
	}
	for t := range l.Rungs {
		if t == noSignal || t >= signalEnd {
			return Fail("daruma.Ladder", KindInvalid, "ladder for signal %q, which is unknown", t)
		}
	}
	for _, t := range SignalTypes() {
		if rungs, ok := l.Rungs[t]; ok {
			if err := checkRungs(t.String(), rungs); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkRungs(name string, rungs []Rung) error {
	const op = "daruma.Ladder"
	if len(rungs) == 0 {
		return Fail(op, KindInvalid, "ladder for %s has no rungs; accepted: a list that ends with abort, escalate or park", name)
	}
	for i, r := range rungs {
		last := i == len(rungs)-1
		switch {
		case r.Remedy >= remedyEnd:
			return Fail(op, KindInvalid, "ladder for %s, rung %d: remedy %v is unknown", name, i, r.Remedy)
		case last && !r.Remedy.Ends():
			return Fail(op, KindInvalid, "ladder for %s ends with %s; accepted as its end: abort, escalate, park", name, r.Remedy)
		case !last && r.Remedy.Ends():
			return Fail(op, KindInvalid, "ladder for %s, rung %d: nothing can come after %s", name, i, r.Remedy)
		case last && len(r.Causes) > 0:
			return Fail(op, KindInvalid, "ladder for %s, rung %d: the end must hold for every cause", name, i)
		case r.Compensate && r.Remedy != Abort:
			return Fail(op, KindInvalid, "ladder for %s, rung %d: compensate with %s; accepted: with abort", name, i, r.Remedy)
		case r.Max < 0 || r.First < 0 || !(r.Factor >= 0) || math.IsInf(r.Factor, 0) || r.Cap < 0:
			return Fail(op, KindInvalid, "ladder for %s, rung %d (%s): max, first, factor and cap must not be negative or infinite", name, i, r.Remedy)
		}
	}
	return nil
}

// Next returns the move for a fall: the first rung, from the bottom, that is
// possible now, fits the cause and has not been taken Max times, retries since
// the last switch of model or tool. The last rung
// is taken whenever no other is; if even that is impossible, the move is Abort.
//
// Next is pure: the same history gives the same move, jitter included. For
// every history it reaches an end after finitely many moves.
func (l Ladder) Next(h History) Move {
	rungs, ok := l.Rungs[h.Signal.Type]
	if !ok {
		rungs = l.Default
	}
	if len(rungs) == 0 {
		d := DefaultLadder()
		if rungs, ok = d.Rungs[h.Signal.Type]; !ok {
			rungs = d.Default
		}
	}
	move := Move{Signal: h.Signal.Type, Subject: h.Signal.Subject}
	for i, r := range rungs {
		taken := r.taken(i, h.Tried)
		last := i == len(rungs)-1
		if !last && (taken >= max(r.Max, 1) || !r.fits(h.Signal)) {
			continue
		}
		if r.Remedy != Abort && !h.Can.Has(r.Remedy) {
			continue
		}
		move.Remedy, move.Rung, move.Try, move.Compensate = r.Remedy, i, taken+1, r.Compensate
		switch {
		case r.Remedy == Retry:
			move.Wait = r.wait(taken, h)
		case r.Remedy == Verify && r.First > 0:
			move.Wait = r.again(taken, h)
		}
		return move
	}
	move.Rung = -1
	move.Try = 1
	return move
}

// taken counts how often a rung was taken for a fall. Retries count for the
// target they were made of: another model or tool gets its own.
func (r Rung) taken(i int, tried []Move) int {
	n := 0
	for _, m := range tried {
		switch {
		case m.Rung == i && m.Remedy == r.Remedy:
			n++
		case r.Remedy == Retry && (m.Remedy == SwitchModel || m.Remedy == SwitchTool):
			n = 0
		}
	}
	return n
}

// fits reports whether the rung is meant for signals like s.
func (r Rung) fits(s Signal) bool {
	if r.Remedy == Retry && s.RetryAfter > r.cap() {
		return false
	}
	for _, c := range r.Causes {
		if c == s.Cause {
			return true
		}
	}
	return len(r.Causes) == 0
}

func (r Rung) cap() Duration {
	if r.Cap == 0 {
		return Duration(30 * time.Second)
	}
	return r.Cap
}

// wait is exponential backoff with full jitter: a share, from the hash of the
// seed, of first × factor^taken, on top of what the other side asked for; see
// "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
func (r Rung) wait(taken int, h History) Duration {
	first, factor := r.First, r.Factor
	if first == 0 {
		first = Duration(100 * time.Millisecond)
	}
	if factor == 0 {
		factor = 2
	}
	ceiling := float64(first) * math.Pow(factor, float64(taken))
	if limit := float64(r.cap()); ceiling > limit {
		ceiling = limit
	}
	sum := DigestOf([]byte(h.Seed))
	share := float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
	asked := max(h.Signal.RetryAfter, 0) // at most the cap, or the rung would not fit
	if room := r.cap() - asked; share*ceiling < float64(room) {
		return (asked + Duration(share*ceiling)).whole()
	}
	return r.cap().whole()
}

// again is the wait before a call in doubt is asked about once more: first ×
// factor^taken, and up to an eighth of that on top, from the hash of the seed,
// so that runs which fell together do not ask together.
func (r Rung) again(taken int, h History) Duration {
	ceiling := float64(r.First) * math.Pow(cmp.Or(r.Factor, 2), float64(taken))
	if limit := float64(r.cap()); ceiling > limit {
		ceiling = limit
	}
	sum := DigestOf([]byte(h.Seed))
	share := float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53)
	if wait := ceiling * (1 + share/8); wait < math.MaxInt64 {
		return Duration(wait).whole()
	}
	return Duration(ceiling).whole()
}

// whole rounds up to milliseconds, the precision of durable timers, where that
// does not overflow.
func (d Duration) whole() Duration {
	const ms = Duration(time.Millisecond)
	if d > math.MaxInt64-ms {
		return d
	}
	return (d + ms - 1) / ms * ms
}

// Without returns the ladder with every rung of the given remedies taken out,
// to measure what a rung is worth. A list that loses its end gets Abort.
func (l Ladder) Without(remedies ...Remedy) Ladder {
	gone := Of(remedies...)
	cut := func(rungs []Rung) []Rung {
		kept := make([]Rung, 0, len(rungs))
		for _, r := range rungs {
			if !gone.Has(r.Remedy) {
				kept = append(kept, r)
			}
		}
		if len(kept) == 0 || !kept[len(kept)-1].Remedy.Ends() {
			kept = append(kept, Rung{Remedy: Abort})
		}
		return kept
	}
	out := Ladder{Rungs: make(map[SignalType][]Rung, len(l.Rungs)), Default: cut(l.Default)}
	for t, rungs := range l.Rungs {
		out.Rungs[t] = cut(rungs)
	}
	return out
}

// IsZero reports whether the ladder is the zero one, which stands for the default.
func (l Ladder) IsZero() bool { return len(l.Rungs) == 0 && len(l.Default) == 0 }
