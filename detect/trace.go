package detect

import (
	"time"

	"github.com/daruma-run/daruma"
)

// Trace is a recorded run of any agent, as far as it was recorded. Importers
// make it; [Scan] looks for what went wrong in it.
type Trace struct {
	Format  string // how it was recorded, such as "openai-chat"
	ID      string // of the run, as recorded; may be empty
	Agent   string // name of the agent, where it has one
	Model   string // the first model that answered, where that is known
	Tools   []Tool // that were offered, where that was recorded
	Steps   []Step // oldest first
	Outcome Outcome
	Gaps    []Gap    // what was not recorded, and how to record it
	Damage  []Damage // what could not be read
}

// Tool is a tool that the model was offered.
type Tool struct {
	Name        string
	Description string
	Schema      []byte        // JSON Schema of the arguments; nil: not recorded
	Effect      daruma.Effect // Unsafe where nothing is known
}

// Outcome is how a run ended, by what its record says. The zero Outcome is
// [OutcomeUnknown].
type Outcome uint8

const (
	OutcomeUnknown   Outcome = iota // the record does not say
	OutcomeSucceeded                // said to be right, or to have reached its goal
	OutcomeFailed                   // said to be wrong, or ended by an error or a limit
)

// Step is one message of a trace. An answer of a model carries its calls, and
// those what they gave.
type Step struct {
	ID      string // unique in the trace
	Line    int    // where it begins in the file, from 1; 0 where lines mean nothing
	Role    daruma.Role
	Agent   string // who spoke, where several agents do
	Model   string // that answered, where it is known
	Text    string
	Thought string        // what the model said to itself
	Calls   []daruma.Call // of an answer, in order. Not Done: nothing is known of what it gave
	Finish  daruma.Finish // of an answer; empty: not recorded
	Kind    daruma.Kind   // of the failure of a model call that gave no answer; zero for any other step
	Time    time.Time     // zero: not recorded
	Took    time.Duration // zero: not recorded
	Usage   daruma.Usage
	Cost    daruma.Money
}

// Gap is something that a format can hold and this record does not: detectors
// that need it are blind.
type Gap struct {
	What   string // such as "contents of messages"
	Switch string // what to set so that it is recorded the next time
}

// Damage is a part of a file that could not be read.
type Damage struct {
	Line int // from 1; 0: not known
	Text string
}
