package daruma

// SignalType names what a detector found. The zero value is no signal.
//
// Signal types are stored in journals: append only, never reorder.
type SignalType uint8

const (
	noSignal            SignalType = iota
	MaxRetriesExceeded             // a step, retry or crash limit is used up
	TimeoutSignal                  // a run, step, first-token, progress or heartbeat deadline passed
	Contradiction                  // a claim conflicts with an earlier claim or tool result
	Hallucination                  // an id, URL, path, number or name found in no input or result
	Loop                           // an action or short cycle repeats without new results
	ResourceExhausted              // tokens, money, memory, disk or concurrency used up
	RateLimited                    // an upstream or an own limit said "later"
	ProviderUnavailable            // the model provider is unreachable, failing or stalled
	ToolFailed                     // a tool reported or caused an error
	ToolUnknown                    // call of a tool that does not exist
	ArgumentsInvalid               // tool arguments are no JSON or fail the schema
	OutputInvalid                  // an answer fails a parse, schema, business or format rule
	OutputTruncated                // length finish, or a stream without its end mark
	Refusal                        // the model declined
	Ungrounded                     // claims without support in sources
	UnverifiedClaim                // claims an action no tool call shows
	NoProgress                     // state unchanged over several steps
	UnknownOutcome                 // an effect may or may not have happened
	PolicyDenied                   // a rule, gate, budget or approver said no
	Injection                      // foreign content tries to give instructions
	signalEnd
)

var signalNames = [...]string{
	"", "max_retries_exceeded", "timeout", "contradiction", "hallucination", "loop",
	"resource_exhausted", "rate_limited", "provider_unavailable", "tool_failed",
	"tool_unknown", "arguments_invalid", "output_invalid", "output_truncated", "refusal",
	"ungrounded", "unverified_claim", "no_progress", "unknown_outcome", "policy_denied",
	"injection",
}

// String returns the public name, such as "rate_limited".
func (t SignalType) String() string { return nameOf(signalNames[:], t) }

// MarshalText writes the public name.
func (t SignalType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a public name; an unknown one is an error of [KindInvalid]
// that lists the accepted ones.
func (t *SignalType) UnmarshalText(b []byte) error {
	return parseName("signal", signalNames[:], b, t)
}

// SignalTypes returns every signal type in stored order.
func SignalTypes() []SignalType {
	all := make([]SignalType, 0, signalEnd-1)
	for t := noSignal + 1; t < signalEnd; t++ {
		all = append(all, t)
	}
	return all
}

// Severity ranks signals. The zero Severity is [Warning].
type Severity uint8

const (
	Warning  Severity = iota // worth a look; the run goes on after its recovery
	Error                    // the step failed
	Critical                 // the run must not go on as it is
)

var severityNames = [...]string{"warning", "error", "critical"}

// String returns the stored name, such as "critical".
func (s Severity) String() string { return nameOf(severityNames[:], s) }

// MarshalText writes the stored name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a stored name.
func (s *Severity) UnmarshalText(b []byte) error {
	return parseName("severity", severityNames[:], b, s)
}

// Severity returns the default severity of the type, as published in the
// table of failure signals.
func (t SignalType) Severity() Severity {
	switch t {
	case ResourceExhausted, Injection:
		return Critical
	case Contradiction, RateLimited, ToolUnknown, ArgumentsInvalid, OutputInvalid,
		OutputTruncated, Refusal, Ungrounded, NoProgress:
		return Warning
	}
	return Error
}

// Recoverable reports whether the run can go on after this signal without a
// human raising a limit, changing a policy or settling an outcome.
func (t SignalType) Recoverable() bool {
	switch t {
	case MaxRetriesExceeded, ResourceExhausted, PolicyDenied, UnknownOutcome, Injection:
		return false
	}
	return true
}

// Signal is one typed finding. It is journaled before any recovery acts on it.
type Signal struct {
	Type        SignalType `json:"type"`
	Severity    Severity   `json:"severity"`
	Recoverable bool       `json:"recoverable"`
	Message     string     `json:"message"`            // one sentence for people, at most [MaxSignalText] bytes
	Subject     string     `json:"subject"`            // what it is about: SubjectModel, SubjectReply, SubjectRun or CallSubject(i)
	Evidence    []string   `json:"evidence,omitempty"` // step ids ("turn/n") the finding rests on
	Path        string     `json:"path,omitempty"`     // JSON pointer into the arguments or the answer, where one is to blame
	Detector    string     `json:"detector"`           // name/version, such as "loop/1"
	Cause       Cause      `json:"cause,omitempty"`
	Kind        Kind       `json:"kind,omitempty"`        // of the failure behind it, where there is one
	RetryAfter  Duration   `json:"retry_after,omitempty"` // how long the other side asked to wait
	Fix         string     `json:"fix,omitempty"`         // of invalid arguments: the same, mended in shape so that they are valid, where that is possible
	Near        string     `json:"near,omitempty"`        // of a tool that does not exist: the one that was probably meant
}

// MaxSignalText bounds [Signal.Message] in bytes; longer text is cut.
const MaxSignalText = 600

// Subjects of signals.
const (
	SubjectModel = "model" // the call of the model itself
	SubjectReply = "reply" // what the model said
	SubjectRun   = "run"   // the run as a whole: limits, loops
)
