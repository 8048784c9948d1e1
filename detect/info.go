package detect

import "github.com/daruma-run/daruma"

// Mode says what becomes of what a detector finds.
type Mode string

// Modes.
const (
	Off      Mode = "off"      // it is not run
	Shadow   Mode = "shadow"   // what it finds is written down, and nothing follows from it
	Enforced Mode = "enforced" // what it finds is a signal, from which the ladder climbs
)

// Info tells of a detector.
type Info struct {
	Name    string            // name/version, as in [daruma.Signal.Detector]
	Finds   daruma.SignalType // the type of its signals
	Default Mode              // in a live run that says nothing else
	// Confidence is about how many of its findings are right, from 0 to 1. It
	// ranks findings, and is a judgement, not a measurement.
	Confidence float64
	About      string // what it finds, in a few words
}

// Detectors returns all detectors, in the order in which they look.
func Detectors() []Info {
	return []Info{
		{"refusal/1", daruma.Refusal, Enforced, 1, "the finish says that the model, or a filter, declined"},
		{"truncated/1", daruma.OutputTruncated, Enforced, 1, "an answer without a proper end"},
		{"empty/1", daruma.OutputInvalid, Enforced, 1, "neither text nor calls"},
		{"unknown_tool/1", daruma.ToolUnknown, Enforced, 1, "a call of a tool that was not offered"},
		{"arguments/1", daruma.ArgumentsInvalid, Enforced, 0.99, "arguments that fail the schema of their tool"},
		{"claim/1", daruma.UnverifiedClaim, Enforced, 0.9, "a claimed action that no call shows"},
		{"repetition/1", daruma.OutputInvalid, Enforced, 0.95, "a text that repeats one piece over and over"},
		{"declined/1", daruma.Refusal, Shadow, 0.9, "an answer that declines in words"},
		{"contradiction/1", daruma.Contradiction, Enforced, 0.9, "an answer that says otherwise than the results"},
		{"made_up/1", daruma.Hallucination, Enforced, 0.9, "figures in an answer although no call gave anything"},
		{"injection/1", daruma.Injection, Enforced, 0.9, "a call that a result ordered, and nobody else"},
		{"entity/1", daruma.Hallucination, Shadow, 0.3, "ids, addresses, paths and figures seen nowhere before"},
		{"nofit/1", daruma.Ungrounded, Shadow, 0.5, "a question that no offered tool fits"},
		{"writes/1", daruma.NoProgress, Shadow, 0.4, "a run that writes unusually often"},
		{"loop/1", daruma.Loop, Enforced, 0.95, "calls that bring nothing new"},
	}
}

// InfoOf returns what is known of a detector by its name/version, and whether
// there is one of that name.
func InfoOf(name string) (Info, bool) {
	for _, d := range Detectors() {
		if d.Name == name {
			return d, true
		}
	}
	return Info{}, false
}
