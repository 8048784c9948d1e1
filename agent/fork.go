package agent

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Fork asks for a run that begins as another one did, up to a step, and goes
// on from there with something changed. Of, At and By are needed. Fields that
// are not set change nothing. [daruma.Fork] says what is done with effects.
type Fork struct {
	// ID names the new run. Empty means a fresh one.
	ID daruma.RunID
	// Of is the run to fork: finished, parked or alive.
	Of daruma.RunID
	// At is the step to do anew: "turn/n" as [daruma.Steps] lists them, "turn"
	// for its model call, "last" for the last one.
	At string
	// By is who forks, such as user:ada.
	By daruma.Actor
	// Key makes the fork once, as [Start].Key does.
	Key string
	// Model is asked first from here on; the origin's others stay behind it.
	Model string
	// Instructions is the system prompt. Nil means that of the origin.
	Instructions *string
	// Input is what the run is asked to do. Empty means that of the origin.
	Input string
	// Args are the arguments, a JSON object, of calls that the step's turn has
	// still to make: by their step or, where it is the only one, their tool.
	Args map[string]string
	// Limits override those of the origin: every field that is not zero. What
	// the origin used does not count.
	Limits daruma.Limits
	// Ladder replaces that of the origin. Nil means the same.
	Ladder *daruma.Ladder
	// Allow lets the fork write what its origin did not without an approval on
	// account of the fork; what risks demand is asked for in any case.
	Allow bool
	// Replace makes it a rewind: the origin is cancelled first, and named by
	// the fork as what it goes on in place of.
	Replace bool
}

// Fork makes the new run durable and returns its id. It is performed as one of
// [Shell.Start] is. With Replace it waits until the origin is over, which this
// shell or the owner of the journal must be performing; if the process dies
// meanwhile, the origin is cancelled and nothing goes on: forking again with
// the same key does.
//
// What the origin writes after this call is not on the record of the fork.
// Rewind, or fork what is parked or finished, where that matters.
//
// Errors: KindInvalid for a step, model or change that does not fit, naming
// what is accepted; KindNotFound for an unknown run; KindCorrupt for a
// quarantined one; KindExists for an id in use; KindConflict for a key that was
// used for something else; and those of the journal.
func (s *Shell) Fork(ctx context.Context, f Fork) (daruma.RunID, error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	if f.ID == "" {
		var random [10]byte
		rand.Read(random[:]) // never fails
		f.ID = daruma.NewRunID(now, random)
	}
	tx, _, err := s.forked(ctx, f, now)
	if err != nil {
		return "", err
	}
	if f.Replace {
		if err := s.stopOrigin(ctx, f); err != nil {
			return "", err
		}
		if tx, _, err = s.forked(ctx, f, time.Now().UTC().Truncate(time.Microsecond)); err != nil {
			return "", err
		}
	}
	if err := s.begin(ctx, tx); err != nil {
		if taken, ok := errors.AsType[*daruma.KeyTaken](err); ok && taken.Same && f.Key != "" {
			return taken.Run, nil
		}
		return "", err
	}
	return f.ID, nil
}

// PlanFork returns the run that [Shell.Fork] would make, without making it:
// its Record says what will be answered instead of being done again, its Next
// what it would do first. The errors are the same.
func (s *Shell) PlanFork(ctx context.Context, f Fork) (*daruma.Run, error) {
	if f.ID == "" {
		f.ID = "planned"
	}
	_, run, err := s.forked(ctx, f, time.Now().UTC().Truncate(time.Microsecond))
	return run, err
}

// stopOrigin cancels the origin of a rewind and waits for its end.
func (s *Shell) stopOrigin(ctx context.Context, f Fork) error {
	err := Cancel(ctx, s.journal, f.Of, f.By, "rewound to step "+f.At+"; run "+string(f.ID)+" goes on in its place")
	if err != nil && daruma.KindOf(err) != daruma.KindConflict { // it is over already
		return err
	}
	_, err = s.WaitFinished(ctx, f.Of)
	return err
}

// forked is the Tx that begins the fork, and the run as it is then.
func (s *Shell) forked(ctx context.Context, f Fork, now time.Time) (tx daruma.Tx, run *daruma.Run, err error) {
	const op = "agent.Fork"
	if err := f.ID.Check(); err != nil {
		return tx, nil, err
	}
	if f.By == "" {
		return tx, nil, daruma.Fail(op, daruma.KindInvalid, "by is empty; accepted: who does this, such as user:ada")
	}
	info, err := s.journal.Run(ctx, f.Of)
	if err != nil {
		return tx, nil, err
	}
	if info.State == daruma.Quarantined {
		return tx, nil, daruma.Fail(op, daruma.KindCorrupt, "run %s is quarantined: what it did is not known for certain, so it cannot be forked", f.Of)
	}
	if s.agents[info.Name] == nil {
		return tx, nil, daruma.Fail(op, daruma.KindInvalid, "run %s is of agent %q, which is unknown; accepted: %s", f.Of, info.Name, strings.Join(names(s.agents), ", "))
	}
	var events []daruma.Event
	for e, err := range s.journal.Events(ctx, f.Of, 0) {
		if err != nil {
			return tx, nil, err
		}
		events = append(events, e)
	}
	tx = daruma.Tx{Tenant: info.Tenant, Run: f.ID, Type: daruma.AgentRun, Name: info.Name, State: daruma.Running}
	fork := daruma.Fork{ID: f.ID, At: f.At, Nonce: nonce(16), Key: f.Key, By: f.By, Allow: f.Allow, Replace: f.Replace}
	if fork.Change, err = s.change(f, events, &tx); err != nil {
		return tx, nil, err
	}
	if tx.Events, err = fork.Events(f.Of, info.Tenant, events); err != nil {
		return tx, nil, err
	}
	last := len(tx.Events) - 1
	if tx.Events[last].Time = now; last > 0 && now.Before(tx.Events[last-1].Time) {
		tx.Events[last].Time = tx.Events[last-1].Time
	}
	if f.Key != "" {
		tx.Keys = []daruma.KeyClaim{{Key: f.Key, Fingerprint: f.fingerprint()}}
	}
	run, err = foldSafely(f.ID, info.Tenant, tx.Events)
	return tx, run, err
}

// change is what the fork does otherwise, in the words of the core.
func (s *Shell) change(f Fork, events []daruma.Event, tx *daruma.Tx) (daruma.Change, error) {
	c := daruma.Change{Instructions: f.Instructions, Args: f.Args, Limits: f.Limits, Ladder: f.Ladder}
	if f.Model != "" {
		if known := s.models.Names(); !slices.Contains(known, f.Model) {
			return c, daruma.Fail("agent.Fork", daruma.KindInvalid, "model %q is unknown; accepted: %s", f.Model, strings.Join(known, ", "))
		}
		origin, err := foldSafely(f.Of, tx.Tenant, events)
		if err != nil {
			return c, err
		}
		c.Models = append([]string{f.Model}, slices.DeleteFunc(slices.Clone(origin.Started().Models), func(m string) bool { return m == f.Model })...)
	}
	if strings.TrimSpace(f.Input) != "" {
		m := daruma.Message{Role: daruma.RoleUser}
		var blob *daruma.Blob
		if m.Text, m.Ref, blob = inline(f.Input); blob != nil {
			tx.Blobs, m.Size = append(tx.Blobs, *blob), int64(len(blob.Bytes))
		}
		c.Input = &m
	}
	return c, nil
}

// fingerprint is of what a key stands for.
func (f Fork) fingerprint() daruma.Digest {
	f.ID, f.Key, f.By = "", "", ""
	b, err := json.Marshal(f)
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return daruma.DigestOf(b)
}
