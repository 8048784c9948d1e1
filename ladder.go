package daruma

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
	// Max is how often this rung is taken for one fall. Zero means 1.
	Max int `json:"max,omitzero"`
	// First is the wait before the first retry; later waits grow by Factor.
	// Zero means 100 ms for Retry, no wait for every other remedy.
	First Duration `json:"first,omitzero"`
	// Factor multiplies the wait with each retry: zero means 2, 1 is constant.
	Factor float64 `json:"factor,omitzero"`
	// Cap bounds the wait. Zero means 30 s. Where the other side asks for a
	// longer wait than this, the rung is passed over.
	Cap Duration `json:"cap,omitzero"`
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
	Try     int        `json:"try"`  // how often this rung has been taken for this fall, this time included
	Signal  SignalType `json:"signal"`
	Subject string     `json:"subject"`
	Wait    Duration   `json:"wait,omitzero"`
	Why     string     `json:"why,omitempty"` // one line for people

	// Filled in by the core after the ladder has chosen.
	Command CommandID `json:"command,omitempty"` // of the wait, or of the attempt that follows
	Target  string    `json:"target,omitempty"`  // the model or tool switched to
	Missing string    `json:"missing,omitempty"` // of a degrade: what the run goes on without
	Text    string    `json:"text,omitempty"`    // what the model is told
}
