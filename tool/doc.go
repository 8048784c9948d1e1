// Package tool holds what an agent can do: tools, and the one point that every
// call of a tool passes.
//
// A [Tool] is a declaration, which says what the tool may do to the world, and
// a function. [Func] makes one of a typed Go function, [HTTP] one of a URL. A
// [Set] of tools is what an agent gets; [Set.Dispatch] calls one of them.
//
//	type Ask struct {
//		City string `json:"city" jsonschema:"name of the city"`
//	}
//	weather := tool.Func("weather", "Weather of today in a city.",
//		func(ctx context.Context, in Ask) (string, error) { return lookUp(ctx, in.City) },
//		daruma.ToolSpec{Effect: daruma.Read})
//	set, err := tool.NewSet(weather)
//
// # What a call passes
//
// In this order: the tool exists, and is still what the run began with; the
// arguments are strict JSON and fit the schema; the idempotency key is there
// and clean; an approval is there where the risk asks for one; the breaker of
// the tool is closed; a place is free; the deadline. The first that says no
// refuses the call, and a refused call has done nothing.
//
// # What an error means
//
// An error says whether the call may have happened, by [daruma.KindOf]:
// [daruma.KindDoubt] means that nobody knows, everything else that it did not
// happen or failed without effect. A function of a tool with effects that
// returns an error promises "without effect", with these exceptions, which are
// in doubt:
//   - errors that [Doubt] marks, and those of [daruma.KindDoubt],
//   - errors in which the end of a context or a timeout is wrapped,
//   - errors of the network after a connection stood,
//   - panics, and functions that do not return by their deadline.
//
// [Refuse] says of any error that nothing happened; [Retry] that nothing
// happened and that it may work later. Tools that only read are never in doubt.
//
// # Deadlines
//
// A call gets a context with the deadline of its tool. A function that ignores
// it is left behind: the call ends, its place becomes free, and the function
// runs on until it returns. [Set.Close] waits for those too. When as many
// calls of a tool are left behind as it has places, no more are let through.
//
// # Guarantees
//
// Dispatch never panics and never waits longer than the wait for a place, the
// deadline and one second. Results are valid UTF-8 and never cut. Nothing is
// stored: if the process dies during a call, what is known of it is what the
// caller wrote down before.
//
// # What it does not do
//
// It retries nothing, parks nothing and remembers no results: that is the
// business of the run.
package tool
