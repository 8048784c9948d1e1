package agent

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Poster takes messages for runs: a [daruma.Journal], or a client of the
// process that owns one.
type Poster interface {
	// Post is [daruma.Journal.Post].
	Post(ctx context.Context, p daruma.Post) (fresh bool, err error)
}

// Asker shows open approvals and takes messages.
type Asker interface {
	Poster
	// Approvals is [daruma.Reader.Approvals].
	Approvals(ctx context.Context, run daruma.RunID) ([]daruma.Approval, error)
}

// Desk shows runs and takes messages for them.
type Desk interface {
	daruma.Reader
	Poster
}

// Cancel asks a run to stop. What is in flight ends first; then the run is
// cancelled. Asking twice is asking once. Errors are those of
// [daruma.Journal.Post]: KindConflict where the run is finished.
func Cancel(ctx context.Context, j Poster, run daruma.RunID, by daruma.Actor, reason string) error {
	return post(ctx, j, run, daruma.TopicCancel, "cancel", by, daruma.Reason{Text: reason})
}

// Compensate asks a run to stop as [Cancel] does, and to undo what it has done
// before it ends: every effect whose tool declares a compensation, the last
// first. What cannot be undone is named in the end. It counts after a Cancel as
// well, as long as the run has not ended. Errors are those of [Cancel].
func Compensate(ctx context.Context, j Poster, run daruma.RunID, by daruma.Actor, reason string) error {
	return post(ctx, j, run, daruma.TopicCancel, "compensate", by, daruma.Reason{Text: reason, Compensate: true})
}

// Decide says yes or no to an open approval, by its id or, where that names
// one approval alone, by the end of it or the id of its run. The decision is bound to the exact
// call through the approval's hash, and the first one counts. Errors:
// KindNotFound where no open approval has that id, KindInvalid where several
// have, and those of the journal.
func Decide(ctx context.Context, j Asker, approval string, approve bool, by daruma.Actor, reason string) error {
	const op = "agent.Decide"
	open, err := j.Approvals(ctx, "")
	if err != nil {
		return err
	}
	var found []daruma.Approval
	for _, a := range open {
		if a.ID == approval {
			found = []daruma.Approval{a}
			break
		}
		if approval != "" && (strings.HasSuffix(a.ID, approval) || string(a.Run) == approval) {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 0:
		return daruma.Fail(op, daruma.KindNotFound, "approval %q is not open; open are: %s", approval, ids(open))
	case 1:
	default:
		return daruma.Fail(op, daruma.KindInvalid, "approval %q names several: %s", approval, ids(found))
	}
	a := found[0]
	return post(ctx, j, a.Run, daruma.TopicApproval, a.ID, by, daruma.Decision{Approve: approve, Hash: a.Hash, Reason: reason})
}

func ids(approvals []daruma.Approval) string {
	if len(approvals) == 0 {
		return "none"
	}
	names := make([]string, len(approvals))
	for i, a := range approvals {
		names[i] = a.ID
	}
	return strings.Join(names, ", ")
}

// Answer settles the question a run is parked with. An answer without a
// Question is bound to the one that is open now; with one, it counts for that
// question alone, however late it comes. Key makes it one answer: the same key
// again changes nothing; an empty key is the time of the call.
//
// Errors: KindConflict where the run asks nothing, or something else than
// Question by now, KindInvalid for a choice that it does not offer, and those
// of [Read] and [daruma.Journal.Post]. The run looks again when it folds the
// answer in, and refuses visibly what came too late.
func Answer(ctx context.Context, j Desk, run daruma.RunID, key string, by daruma.Actor, answer daruma.Answer) error {
	const op = "agent.Answer"
	r, err := Read(ctx, j, run)
	if err != nil {
		return err
	}
	park := r.Parked()
	switch {
	case park == nil:
		return daruma.Fail(op, daruma.KindConflict, "run %s asks nothing: it is %s", run, r.State())
	case len(park.Options) == 0:
		return daruma.Fail(op, daruma.KindConflict, "run %s waits for an approval, %s, and asks nothing else; accepted: yes or no to that", run, ids(r.Approvals()))
	case answer.Question != "" && answer.Question != park.ID:
		return daruma.Fail(op, daruma.KindConflict, "question %q of run %s is not open any more; open is %s: %s", answer.Question, run, park.ID, park.Text)
	case !slices.Contains(park.Options, answer.Choice):
		return daruma.Fail(op, daruma.KindInvalid, "%q is no answer to %q; accepted: %s", answer.Choice, park.Text, strings.Join(park.Options, ", "))
	}
	answer.Question = park.ID
	return post(ctx, j, run, daruma.TopicAnswer, key, by, answer)
}

// Raise changes limits of a run, such as the one it is parked at: every field
// that is not zero replaces the run's. Key is as in [Answer]. Errors:
// KindInvalid for limits that [daruma.Limits.Check] refuses, and those of
// [daruma.Journal.Post].
func Raise(ctx context.Context, j Poster, run daruma.RunID, key string, by daruma.Actor, limits daruma.Limits) error {
	if err := limits.Check(); err != nil {
		return err
	}
	return post(ctx, j, run, daruma.TopicPolicy, key, by, daruma.Policy{Limits: limits})
}

func post(ctx context.Context, j Poster, run daruma.RunID, topic, key string, by daruma.Actor, payload any) error {
	const op = "agent.Post"
	if by == "" {
		return daruma.Fail(op, daruma.KindInvalid, "by is empty; accepted: who does this, such as user:ada")
	}
	body, err := json.Marshal(payload)
	if err != nil {
		return daruma.Fail(op, daruma.KindInvalid, "payload of %s: %w", topic, err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	if key == "" {
		key = now.Format(time.RFC3339Nano)
	}
	_, err = j.Post(ctx, daruma.Post{Run: run, Topic: topic, Key: key, Payload: body, By: by, Time: now})
	return err
}
