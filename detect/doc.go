// Package detect finds what is going wrong in a run, in what the model said
// and in what its calls gave.
//
// [Reply] looks at one answer of a model before its calls are acted on,
// [Results] at the results of a turn. Both are pure functions: the same input
// gives the same signals. What has to be remembered from turn to turn is a
// mark, a short string that the run keeps in its journal:
//
//	signals, mark, skipped := detect.Results(detect.ResultsInput{
//		Calls: run.Results(),
//		Marks: run.Marks(),
//	})
//
// # Detectors of a reply
//
// In this order; several may find something at once.
//
//   - "refusal/1": the finish says that the model, or a filter, declined.
//   - "truncated/1": the finish is "length", none, or one nobody knows: a
//     stream that ended without saying so is not whole. The last call of such
//     an answer is not looked at any further.
//   - "empty/1": neither text nor calls, where nothing above explains it.
//   - "unknown_tool/1": a call of a tool that was not offered, with the name
//     that was probably meant.
//   - "arguments/1": arguments that fail the check of their tool, with the
//     place of the first problem.
//   - "claim/1": a final answer that says that something was done, in words of
//     the name of a tool with an effect that was not called with success in the
//     run, and that no result speaks of. English alone; it would rather miss a
//     claim than doubt a true one.
//
// # The loop rule
//
// "loop/1" keeps a score. A call is stale if one of these happened within the
// last 12 turns:
//   - the same call gave the same result, and no new call that may have changed
//     the world succeeded in between (a test run again after an edit is no
//     loop; if such a call did succeed, the call counts neither way),
//   - it failed, and a call of the same tool failed with the same error,
//     whatever the arguments, and did not succeed since.
//
// A turn is stale if it has a stale call and no fresh one. A stale turn adds 1
// to the score, up to 6; a turn with something fresh takes 0.5 off, down to 0.
// When the score reaches 3 the signal is a warning: tell the model. From 5 on
// every stale turn is an error: do something else. The
// length of the loop does not matter, and neither do calls in between that are
// as stale.
//
// Two calls are the same if their tools are and their arguments are after
// canonical form: keys in lower case and sorted, white space collapsed, numbers
// in one form, null and empty values dropped, and fields dropped that only tell
// attempts apart (request_id, timestamp, reason and the like, unless there is
// nothing else). So a next page is another call. Two results are the same after
// white space is collapsed and clock times, durations, UUIDs, addresses and
// hexadecimal ids are masked. Of tools that are declared to read only, all
// other digits count: a poll whose result changes is no loop. Of other tools
// digits are masked too, except in "40%", "3/7" and "3 of 7". Errors are
// compared by their first 200 characters (the last 200 of a stack trace)
// without numbers and what stands in quotes.
//
// # Where the numbers come from
//
// Window 12, nudge 3, stop 5 and the step of 0.5 come from a study on 1,574
// recorded runs of four agents and on loops injected into good ones: there the
// rule caught eight of eight kinds of loops within 3 to 6 turns, and touched
// 2.3 % of the good runs at 3 and 0.4 % at 5. They were chosen on the same
// data. Judging by turns instead of calls, neutral calls, settled errors,
// the digits of reads and the bound of 6 were added here, to be milder.
//
// # Guarantees
//
// A detector that panics is skipped and counted, never passed on. A judgement
// is meant to end within 50 ms: work grows linearly with the input, and of
// texts only the first 64 KiB are looked at. Marks are at most 400 bytes and
// hold hashes, never text. Marks that cannot be read are ignored: detection
// starts again from them on.
//
// # What it does not do
//
// It does not decide what to do. It does not see that a model argues in
// circles in other words, or repeats a goal by ever new calls that succeed.
package detect
