package model

import (
	"encoding/json"

	"github.com/daruma-run/daruma"
)

// Chunk is one piece of an answer. Several fields may be set at once; the zero
// Chunk says nothing.
type Chunk struct {
	Text   string         // more of the answer
	Call   *CallDelta     // more of a tool call
	Usage  *daruma.Usage  // what the whole call cost so far; the last one counts
	Finish daruma.Finish  // why the model stopped; the last one counts
	Model  string         // the model that really answered, where the provider says so
	End    bool           // the end mark: the answer is complete
	Native *daruma.Native // what the provider wants back with the message; the last one counts
	// Extra holds fields this package does not know, by their path in the
	// provider's message, such as "system_fingerprint" or
	// "delta.reasoning_content".
	Extra map[string]json.RawMessage
}

// CallDelta is one piece of a tool call.
type CallDelta struct {
	Index     int    // which call of the answer, as the provider counts; -1 means it did not say
	ID        string // may be empty, or the same for all
	Name      string // of the tool; usually in the first piece alone
	Arguments string // the next bytes of the arguments
}

// Reply is a whole answer.
type Reply struct {
	Message    daruma.Message // role assistant, with text, calls or both
	Finish     daruma.Finish  // zero: the provider did not say
	Usage      daruma.Usage
	UsageKnown bool   // the provider told the usage; zeros are real then
	Model      string // the model that answered, where the provider said so
	// Extra holds the fields this package does not know, by path as in
	// [Chunk.Extra]. Strings under "delta." are joined, of others the last counts.
	Extra map[string]json.RawMessage
}
