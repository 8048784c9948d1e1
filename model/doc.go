// Package model says how Daruma talks to language models: what is asked, what
// comes back, and what it means when nothing usable does.
//
// A [Provider] streams one answer to one [Request]. [Collect] turns the stream
// into a [Reply], or into an error that says what sort of failure it was:
//
//	reply, err := model.Collect(provider.Stream(ctx, &model.Request{
//		Model:    "small",
//		Messages: []daruma.Message{{Role: daruma.RoleUser, Text: "Hello"}},
//	}))
//	if daruma.KindOf(err) == daruma.KindRateLimited {
//		e, _ := errors.AsType[*model.Error](err)
//		wait(e.RetryAfter)
//	}
//
// # What counts as an answer
//
// An answer has an end mark, and text or calls. What ends without its mark is
// cut, and what says nothing is empty; both are errors of [daruma.KindBroken],
// never a success. Two empty answers are legal: one that ran into its output
// limit before the first word, and one whose finish says that the model
// declined. An answer that came whole but without a reason for its end keeps
// the zero [daruma.Finish].
//
// # Tool calls
//
// Providers number calls from 0, from 1, all with 0 or not at all, and repeat
// or leave out ids. [Collect] puts the pieces together whatever the numbering
// and gives missing and repeated ids a fresh one; [Identify] does the same
// against a whole conversation. Arguments stay exactly as the model wrote
// them: broken JSON stays broken, and nothing becomes {}.
//
// # Failures
//
// [Classify] reads one answer that is a failure and says which kind it is, by
// one table over status, code and type, and last by a table over wording. The
// corpus in testdata/failures holds bodies as providers send them.
//
// # What goes back
//
// Some providers want parts of an answer back as they sent them, such as
// thinking with its signature. They stand in [daruma.Message.Native], which
// goes with the message through the journal and means nothing to anybody else.
//
// # What it does not do
//
// It does not retry, wait, choose another model or count money: see
// [github.com/daruma-run/daruma/model/route]. Wire formats are in packages
// below, named by their format.
package model
