package tool

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/daruma-run/daruma"
)

// Agent makes a tool of another agent: a call with an input starts a run of
// that agent, as a sub-run of the caller's, and its answer is the result. The
// shell starts it, once for each call whatever happens in between, and the
// caller's run waits for it at no cost. What the sub-run uses counts on the
// caller's limits, a cancel of the caller reaches it, and a human who is asked
// something by it is asked under its own id.
//
// Dispatch refuses the tool: it is no function.
func Agent(name, agent, description string) Tool {
	return Tool{
		Spec:        daruma.ToolSpec{Name: name, Effect: daruma.Keyed, Agent: agent},
		Description: description,
		Schema: json.RawMessage(`{"type":"object","required":["input"],"additionalProperties":false,` +
			`"properties":{"input":{"type":"string","minLength":1,"description":"what the agent is asked to do, with everything it needs to know"}}}`),
		Do: func(context.Context, Call) (Result, error) {
			return Result{}, Refuse(errors.New("a sub-run is started by the shell"))
		},
	}
}
