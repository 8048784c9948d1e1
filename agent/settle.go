package agent

import (
	"context"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// Settle says what became of one call of a run that is in doubt, such as what
// a webhook of the other side brings: the call is then not asked about any
// more, neither its tool nor a human. Call is its idempotency key, or its step
// ("3/4") as daruma show tells it. The same result again is one result.
//
// Errors: KindNotFound where the run has no such call with an effect, KindInvalid
// for an outcome that settles nothing (accepted: success; failure: it ran
// without effect; absent: it never ran and is called again), KindConflict where
// the call was settled before. In that case the result is recorded and refused;
// where it contradicts what was settled, a human is asked who is right. Of a
// run that is over nothing is recorded. Other errors are those of [Read] and
// [daruma.Journal.Post].
func Settle(ctx context.Context, j Desk, run daruma.RunID, call string, by daruma.Actor, outcome daruma.Outcome, text string) error {
	const op = "agent.Settle"
	if outcome != daruma.Succeeded && outcome != daruma.Failed && outcome != daruma.Absent {
		return daruma.Fail(op, daruma.KindInvalid, "outcome %s settles nothing; accepted: success, failure, absent", outcome)
	}
	r, err := Read(ctx, j, run)
	if err != nil {
		return err
	}
	effects := r.Effects()
	i := slices.IndexFunc(effects, func(e daruma.EffectRecord) bool { return e.Key == call || e.Step == call })
	if i < 0 {
		return daruma.Fail(op, daruma.KindNotFound, "run %s has no call %q with an effect; there are: %s", run, call, steps(effects))
	}
	e := effects[i]
	if r.State().Finished() {
		return daruma.Fail(op, daruma.KindConflict, "run %s is over (%s) and call %s of %s is %s; nothing was recorded", run, r.State(), e.Step, e.Tool, e.State)
	}
	st := daruma.Settlement{Key: e.Key, Outcome: outcome, Text: text}
	if err := post(ctx, j, run, daruma.TopicResult, e.Key+"/"+outcome.String(), by, st); err != nil {
		return err
	}
	if e.State.Settled() {
		return daruma.Fail(op, daruma.KindConflict, "call %s of %s was settled before as %s; %s is recorded and refused", e.Step, e.Tool, e.State, outcome)
	}
	return nil
}

func steps(effects []daruma.EffectRecord) string {
	if len(effects) == 0 {
		return "none"
	}
	names := make([]string, len(effects))
	for i, e := range effects {
		names[i] = e.Step + " " + e.Tool + " " + e.State.String()
	}
	return strings.Join(names, ", ")
}
