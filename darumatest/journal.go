package darumatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

// JournalOptions say how the journals under test are made.
type JournalOptions struct {
	// Open returns an empty journal and has it closed by t.Cleanup. Needed.
	Open func(t *testing.T) daruma.Journal

	// Reopen ends a journal as the end of its process would and opens the same
	// place again, with what it had acknowledged and no node alive. Nil skips
	// the tests that need it.
	Reopen func(t *testing.T, j daruma.Journal) daruma.Journal

	// Parallel lets the tests run side by side, for a journal that mostly waits:
	// Open and Reopen are then called from several goroutines.
	Parallel bool
}

// Journal is the suite that every [daruma.Journal] must pass. Each test gets
// a journal of its own from open.
func Journal(t *testing.T, open func(t *testing.T) daruma.Journal) {
	JournalWith(t, JournalOptions{Open: open})
}

// JournalWith is [Journal] with more options.
func JournalWith(t *testing.T, o JournalOptions) {
	suites := []struct {
		name  string
		tests []journalTest
	}{
		{"commit", commitTests},
		{"claim", claimTests},
		{"post", postTests},
		{"rows", rowTests},
		{"read", readTests},
		{"together", togetherTests},
	}
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			for _, test := range s.tests {
				t.Run(test.name, func(t *testing.T) { o.run(t, test) })
			}
		})
	}
	if o.Reopen == nil {
		return
	}
	t.Run("reopen", func(t *testing.T) {
		for _, test := range reopenTests {
			t.Run(test.name, func(t *testing.T) { o.run(t, test) })
		}
	})
}

func (o *JournalOptions) run(t *testing.T, test journalTest) {
	if o.Parallel {
		t.Parallel()
	}
	test.run(&journal{T: t, Journal: o.Open(t), reopen: o.Reopen})
}

type journalTest struct {
	name string
	run  func(j *journal)
}

// journal is a journal under test with words to speak about it.
type journal struct {
	*testing.T
	daruma.Journal

	reopen func(*testing.T, daruma.Journal) daruma.Journal
}

// Run reads a run; without it [testing.T.Run] would stand in the way.
func (j *journal) Run(ctx context.Context, id daruma.RunID) (daruma.RunInfo, error) {
	return j.Journal.Run(ctx, id)
}

// clock is when everything in these tests happens, to the microsecond.
var clock = time.Date(2026, 11, 24, 10, 20, 30, 123456000, time.UTC)

// birth is a Tx that starts a run, held by node unless that is empty.
func birth(id daruma.RunID, node string) daruma.Tx {
	return daruma.Tx{Run: id, Type: daruma.AgentRun, Name: "agent", Node: node, Events: happened(daruma.KindStarted)}
}

// step is a Tx that appends one event per kind.
func step(id daruma.RunID, head, epoch int64, kinds ...daruma.EventKind) daruma.Tx {
	return daruma.Tx{Run: id, Head: head, Epoch: epoch, Events: happened(kinds...)}
}

// rest is a step after which the run waits, held by nobody.
func rest(id daruma.RunID, head, epoch int64, state daruma.RunState, wake time.Time) daruma.Tx {
	tx := step(id, head, epoch, daruma.KindParked)
	tx.State, tx.WakeAt, tx.Release = state, wake, true
	return tx
}

// end is a step that finishes the run.
func end(id daruma.RunID, head, epoch int64) daruma.Tx {
	tx := step(id, head, epoch, daruma.KindFinished)
	tx.State, tx.Release = daruma.Completed, true
	return tx
}

func happened(kinds ...daruma.EventKind) []daruma.Event {
	events := make([]daruma.Event, len(kinds))
	for i, k := range kinds {
		events[i] = daruma.Event{Kind: k, Time: clock, Actor: daruma.ActorShell, Payload: fmt.Appendf(nil, `{"kind":%q,"i":%d}`, k, i)}
	}
	return events
}

// commit commits one Tx and wants it durable.
func (j *journal) commit(tx daruma.Tx) {
	j.Helper()
	if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; err != nil {
		j.Fatalf("commit of run %q at head %d: %v", tx.Run, tx.Head, err)
	}
}

// refuse commits one Tx and wants a verdict of the kind, and nothing changed.
func (j *journal) refuse(tx daruma.Tx, want daruma.Kind) error {
	j.Helper()
	before := j.all(tx.Run)
	err := j.Commit(j.Context(), []daruma.Tx{tx})[0]
	if err == nil || daruma.KindOf(err) != want {
		j.Fatalf("commit of run %q at head %d, epoch %d: got %v (%v), want %v", tx.Run, tx.Head, tx.Epoch, err, daruma.KindOf(err), want)
	}
	if after := j.all(tx.Run); len(after) != len(before) {
		j.Fatalf("a refused Tx left events: %d before, %d after", len(before), len(after))
	}
	return err
}

// all returns the events of a run, none where there is no run.
func (j *journal) all(id daruma.RunID) []daruma.Event {
	j.Helper()
	var events []daruma.Event
	for e, err := range j.Events(j.Context(), id, 0) {
		if daruma.KindOf(err) == daruma.KindNotFound {
			return nil
		}
		if err != nil {
			j.Fatalf("events of %q: %v", id, err)
		}
		events = append(events, e)
	}
	return events
}

// info returns what is known of a run.
func (j *journal) info(id daruma.RunID) daruma.RunInfo {
	j.Helper()
	info, err := j.Run(j.Context(), id)
	if err != nil {
		j.Fatalf("run %q: %v", id, err)
	}
	return info
}

// post posts and says whether it was fresh.
func (j *journal) post(id daruma.RunID, topic, key string) bool {
	j.Helper()
	fresh, err := j.Post(j.Context(), message(id, topic, key))
	if err != nil {
		j.Fatalf("post %s %s to %q: %v", topic, key, id, err)
	}
	return fresh
}

func message(id daruma.RunID, topic, key string) daruma.Post {
	return daruma.Post{Run: id, Topic: topic, Key: key, Payload: []byte(`{"text":"hello"}`), By: "user:ann", Time: clock}
}

// claim claims for a node at a time.
func (j *journal) claim(node string, now time.Time) daruma.Claims {
	j.Helper()
	return j.claimWith(daruma.Claim{Node: node, Now: now})
}

func (j *journal) claimWith(c daruma.Claim) daruma.Claims {
	j.Helper()
	claims, err := j.Claim(j.Context(), c)
	if err != nil {
		j.Fatalf("claim for %q: %v", c.Node, err)
	}
	return claims
}

// ids names the claimed runs.
func ids(c daruma.Claims) []daruma.RunID {
	var all []daruma.RunID
	for _, r := range c.Runs {
		all = append(all, r.Run.ID)
	}
	return all
}

// woken reports whether the wake channel holds a value, and takes it.
func (j *journal) woken() bool {
	select {
	case <-j.Wake():
		return true
	default:
		return false
	}
}
