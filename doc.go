// Package daruma gets AI agents back on their feet: it holds the words every
// room of the house speaks, and the core that decides.
//
// A [Run] is a fold of [Event]s. [Run.Apply] folds one in, [Run.Next] says which
// events must be committed now and which [Command]s to perform after that. Both
// are pure: no clock, no I/O, no goroutine, no random number that is not in the
// events. A shell round it, such as package agent, commits to a [Journal],
// performs the commands and commits what came of them.
//
//	run, err := daruma.Fold(id, tenant, events)
//	decided, commands := run.Next()
//	// 1. stamp and commit decided, then Apply each of them
//	// 2. perform the commands, each ID once at a time
//	// 3. commit and Apply their results, then ask Next again
//
// # Falls and catches
//
// What goes wrong becomes a [Signal], journaled before anything is done about
// it. A [Ladder], which is data, says which [Remedy] comes next: retry, another
// tool, another model, thinking again with evidence, going on with less, asking
// a human. [Ladder.Next] makes a [Move] of it; [Run.Falls] tells what fell and
// how it was caught.
//
// # Effects
//
// A tool declares its [Effect]. The intent to call one that may change the
// world is on disk before the call begins, so that a crash leaves it in doubt
// rather than forgotten, and the effect decides what happens then: repeat with
// the same key, verify, or ask. Undeclared means [Unsafe]: ask.
//
// # Guarantees
//
// The same events give the same run, the same decisions and the same command
// ids. Every ladder ends. A completed call is never made again. Limits have a
// soft edge, at which the agent is told to wrap up, and a hard one, at which
// the run is parked and can go on.
//
// # What it does not do
//
// It does not call models or tools, keep files or know the time: shells do.
//
// # Compatibility
//
// Stored names and numbers are append-only. A [Checkpoint] is believed only by
// the [FoldVersion] that wrote it; events are folded by every later version.
package daruma
