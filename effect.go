package daruma

// Effect is what a tool may do to the world, and so what may be done with a
// call of it that was in flight at a crash. The zero Effect is [Unsafe]:
// anything undeclared is treated as if repeating it could do harm.
type Effect uint8

const (
	Unsafe        Effect = iota // undeclared: never repeated blindly, see OnDoubt
	Read                        // reads only: repeated freely, no intent is journaled
	Idempotent                  // repeating changes nothing more
	Keyed                       // accepts an idempotency key: repeated with the same key
	Transactional               // its result commits in the user's own transaction: no result, no effect
	Payment                     // moves money: keyed, and never started without a key
)

var effectNames = [...]string{"unsafe", "read", "idempotent", "keyed", "transactional", "payment"}

// String returns the stored name, such as "keyed".
func (e Effect) String() string { return nameOf(effectNames[:], e) }

// MarshalText writes the stored name.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText reads a stored name.
func (e *Effect) UnmarshalText(b []byte) error { return parseName("effect", effectNames[:], b, e) }

// Repeatable reports whether a call whose outcome is unknown may be sent again
// with the same key without asking anybody.
func (e Effect) Repeatable() bool { return e != Unsafe }

// Risk is how much harm a call can do. The zero Risk is [RiskUnset], which
// [ToolSpec.Danger] derives from the effect.
type Risk uint8

const (
	RiskUnset Risk = iota
	RiskLow
	RiskMedium
	RiskHigh
	RiskCritical
)

var riskNames = [...]string{"unset", "low", "medium", "high", "critical"}

// String returns the stored name, such as "high".
func (r Risk) String() string { return nameOf(riskNames[:], r) }

// MarshalText writes the stored name.
func (r Risk) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a stored name.
func (r *Risk) UnmarshalText(b []byte) error { return parseName("risk", riskNames[:], b, r) }

// OnDoubt is what to do with an unsafe call whose outcome is unknown. The zero
// OnDoubt is [DoubtAsk].
type OnDoubt uint8

const (
	DoubtAsk    OnDoubt = iota // park the run and ask a human
	DoubtVerify                // ask the tool's verify function; a human if it cannot say
	DoubtRetry                 // send it again: only where doing it twice is acceptable
	DoubtAbort                 // end the run as failed
)

var onDoubtNames = [...]string{"ask", "verify", "retry", "abort"}

// String returns the stored name, such as "ask".
func (d OnDoubt) String() string { return nameOf(onDoubtNames[:], d) }

// MarshalText writes the stored name.
func (d OnDoubt) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a stored name.
func (d *OnDoubt) UnmarshalText(b []byte) error { return parseName("on_doubt", onDoubtNames[:], b, d) }

// ToolSpec is what the core knows of a tool. It is frozen into the run when
// the run starts; the function behind it is the shell's.
type ToolSpec struct {
	Name         string   `json:"name"`
	Effect       Effect   `json:"effect,omitzero"`
	Risk         Risk     `json:"risk,omitzero"`
	OnDoubt      OnDoubt  `json:"on_doubt,omitzero"`
	Capability   string   `json:"capability,omitempty"`   // what it is for; tools of one capability can stand in for each other
	Alternatives []string `json:"alternatives,omitempty"` // names of tools that may replace it, best first
	ReplaceWrite bool     `json:"replace_write,omitzero"` // policy: an alternative may replace it although it writes
	Verify       bool     `json:"verify,omitzero"`        // it can be asked whether a call happened
	Repeat       Repeat   `json:"repeat,omitzero"`        // what becomes of a call that equals one already made
	Approve      bool     `json:"approve,omitzero"`       // every call needs an approval, whatever its risk
	Timeout      Duration `json:"timeout,omitzero"`       // of one attempt; zero means 30 s

	// Agent makes the tool a sub-run: each call starts a run of that agent and
	// has its answer as result. Empty: a function.
	Agent string `json:"agent,omitempty"`
	// Compensate says how a call is undone; nil: it cannot be.
	Compensate *Compensation `json:"compensate,omitempty"`
	Pin        string        `json:"pin,omitempty"` // digest of what models were told of a tool that somebody else defines; another one is another tool
}

// Danger returns the risk of a call: the declared one, else low for reads,
// critical for payments, medium for everything else.
func (t ToolSpec) Danger() Risk {
	switch {
	case t.Risk != RiskUnset:
		return t.Risk
	case t.Effect == Read:
		return RiskLow
	case t.Effect == Payment:
		return RiskCritical
	}
	return RiskMedium
}
