package daruma

// Remedy is one kind of recovery. The zero Remedy is [Abort], so that a
// forgotten move stops a run rather than letting it go on.
//
// Remedies are stored in journals: append only, never reorder.
type Remedy uint8

const (
	Abort       Remedy = iota // stop, keep all evidence
	Retry                     // the same request again, after a wait
	Repair                    // a deterministic fix of shape, no model call
	Compact                   // shorten an overflowing context
	Reflect                   // tell the model what failed and ask for a different action
	Verify                    // find out whether an unknown effect happened
	SwitchTool                // another tool of the same capability
	SwitchModel               // another model, provider, region or key
	Degrade                   // go on with less, and say what is missing
	WrapUp                    // finish early at the soft edge of a limit
	Escalate                  // park and ask a human
	Park                      // park until a limit is raised
	remedyEnd
)

var remedyNames = [...]string{
	"abort", "retry", "repair", "compact", "reflect", "verify", "switch_tool",
	"switch_model", "degrade", "wrap_up", "escalate", "park",
}

// String returns the public name, such as "switch_tool".
func (r Remedy) String() string { return nameOf(remedyNames[:], r) }

// MarshalText writes the public name.
func (r Remedy) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads a public name; an unknown one is an error of [KindInvalid]
// that lists the accepted ones.
func (r *Remedy) UnmarshalText(b []byte) error { return parseName("remedy", remedyNames[:], b, r) }

// Remedies returns every remedy in stored order.
func Remedies() []Remedy {
	all := make([]Remedy, remedyEnd)
	for i := range all {
		all[i] = Remedy(i)
	}
	return all
}

// Ends reports whether the remedy hands the run to a human or stops it. Every
// ladder ends with such a rung.
func (r Remedy) Ends() bool { return r == Abort || r == Escalate || r == Park }

// RemedySet is a set of remedies, such as those possible at some moment. The
// zero set is empty.
type RemedySet uint32

// Of returns the set of the given remedies.
func Of(remedies ...Remedy) RemedySet {
	var s RemedySet
	for _, r := range remedies {
		s |= 1 << r
	}
	return s
}

// Has reports whether r is in the set.
func (s RemedySet) Has(r Remedy) bool { return s&(1<<r) != 0 }
