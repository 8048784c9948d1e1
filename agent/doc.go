// Package agent performs runs in this process: it is the local shell round
// the pure core.
//
// A [Shell] claims runs from a [daruma.Journal], asks each what to do, makes
// the decisions durable, performs the commands (calls of models and tools) and
// commits what came of them. It goes on with everything a dead process has
// left.
//
//	shell, err := agent.New(agent.Options{
//		Journal: journal,
//		Agents:  []agent.Agent{{Name: "helper", Models: []string{"main"}, Tools: tools}},
//		Models:  models,
//	})
//	if err != nil {
//		return err
//	}
//	go func() { ended <- shell.Run(ctx) }()
//	id, err := shell.Start(ctx, agent.Start{Agent: "helper", Input: "What is on invoice 7?"})
//	if err != nil {
//		return err
//	}
//	result, err := shell.Wait(ctx, id)
//
// [Do] is all of this in one call. [Cancel], [Compensate], [Decide], [Answer],
// [Settle] and [Raise] send messages to runs; they need no shell and work from any process that
// reaches the journal.
//
// # How it works
//
// One goroutine owns every run in memory and decides, in a step function
// without clock and I/O; the others only perform calls, commit and claim. A
// run has at most one commit in flight, and results that come meanwhile ride
// the next. Judging (detectors, checks of shape) happens within the step, so
// that a model's reply, its judgement and the intents that follow are one
// commit. All runs that are ready share one commit.
//
// Runs that wait for long, for a person or for a limit are given up: they cost
// no memory and no goroutine, and the journal says when they are due.
//
// # Money
//
// [daruma.Limits] bound what one run spends, [Options.Budgets] what all runs of
// an agent or calls of a model spend together. Both are reserved before a call,
// so they are not passed by a call whose longest answer is bounded; of models
// without a price [daruma.Limits] count nothing, and a budget refuses them. See
// [Budget].
//
// What a process holds of a budget counts as spent if it dies. The next one
// claims its runs first: only then is it known which of them were in a model
// call, and what that may have cost is counted before the rest is given back.
// Of a call that nobody wanted any more, or whose answer no Tx carried, at the
// moment of the crash, nothing is known and nothing counted.
//
// # Guarantees
//
// A command is performed only after the commit that holds its intent was
// acknowledged, and an id is performed once at a time. A call with an effect
// that was in flight when the process died is in doubt, and the core decides
// by the tool's declared effect. Reads and model calls are made again.
//
// A run whose events cannot be folded, or whose decisions panic, is
// quarantined; the others go on.
//
// An agent whose tool is another agent ([tool.Agent]) starts sub-runs: runs like
// any other, each once for its call. The commit that ends one tells its parent,
// which waits without memory or goroutine.
//
// # What it does not do
//
// It does not stream answers to callers.
package agent
