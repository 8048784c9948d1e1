package tool

import (
	"context"
	"encoding/json"
	"time"

	"github.com/daruma-run/daruma"
)

// Tool is something an agent can do.
type Tool struct {
	// Spec declares the tool. Its zero Effect is [daruma.Unsafe].
	Spec daruma.ToolSpec
	// Description tells the model what the tool is for.
	Description string
	// Schema is the JSON Schema of the arguments, of type "object". Empty
	// means any object.
	Schema json.RawMessage
	// Do performs a call. It is called by many goroutines at once. It should
	// return soon after ctx is done. The package documentation says what its
	// errors mean. An error always counts more than a result beside it.
	Do func(ctx context.Context, call Call) (Result, error)
	// Verify finds out whether the call with the key and arguments of call
	// happened: [daruma.Succeeded] with its result, [daruma.Absent], or
	// [daruma.Doubtful] where it cannot say. It must change nothing. May be
	// nil where Spec.Verify is false.
	Verify func(ctx context.Context, call Call) (daruma.Outcome, Result, error)
}

// Call is one call of a tool.
type Call struct {
	Run      daruma.RunID
	Command  daruma.CommandID
	Tool     string
	Args     json.RawMessage // JSON; empty means an empty object
	Key      string          // idempotency key, the same for every attempt; may be empty except for payments
	Attempt  int             // from 1
	Approved bool            // an approval for exactly these arguments was given
	// Pin is that of the declaration the run has frozen. A call is refused where
	// the tool has another one by now. Empty means any.
	Pin string
	// Threshold is the risk from which this run needs approvals. Zero means
	// that of the set.
	Threshold daruma.Risk
	// Timeout bounds this call where it is less than the tool's own. Zero means
	// that the tool's own alone does.
	Timeout time.Duration
}

// NewCall returns the call that a command of a run asks for. The limits are
// those of the run.
func NewCall(run daruma.RunID, limits daruma.Limits, c daruma.Command) Call {
	return Call{
		Run: run, Command: c.ID, Tool: c.Tool, Args: json.RawMessage(c.Args), Key: c.Key,
		Attempt: c.Attempt, Approved: c.Approved, Threshold: limits.Approve, Timeout: c.Timeout,
	}
}

// Result is what a tool gave.
type Result struct {
	Text string // for the model: plain text or JSON; may be empty
	// Replayed says that the tool answered from a record and did nothing now.
	Replayed bool
}

// Definition is what a model is told of a tool.
type Definition struct {
	Name        string
	Description string
	Schema      json.RawMessage // never empty; shared, not to be modified
}

type callKey struct{}

// CallOf returns the call that ctx belongs to, so that a typed function can
// read its idempotency key. It is false outside of a call.
func CallOf(ctx context.Context) (Call, bool) {
	call, ok := ctx.Value(callKey{}).(Call)
	return call, ok
}
