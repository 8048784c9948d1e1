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

// Start asks for one run. Agent and Input are needed.
type Start struct {
	// ID names the run. Empty means a fresh one.
	ID daruma.RunID
	// Tenant owns the run.
	Tenant daruma.Tenant
	// Agent is the name of one of [Options.Agents].
	Agent string
	// Input is what the run is asked to do.
	Input string
	// Key makes the run start once: a second start with the same key, agent,
	// input and limits gives the id of the first, with other ones KindConflict.
	// At most 255 bytes. Empty means no key.
	Key string
	// Limits override those of the agent: every field that is not zero.
	Limits daruma.Limits

	parent  *daruma.Parent  // of a sub-run
	lowered *daruma.Lowered // where the run begins
	lessons []daruma.Lesson // of earlier runs
}

// Start makes a run durable and returns its id; nothing of it is lost from
// then on. It is performed by this shell while [Shell.Run] works, else by the
// next that claims it.
//
// Errors: KindInvalid for a start that names no agent of this shell, no input
// or bad limits; KindExists for an id in use; KindConflict for a key that was
// used for something else; and those of the journal.
func (s *Shell) Start(ctx context.Context, start Start) (daruma.RunID, error) {
	const op = "agent.Start"
	p := s.agents[start.Agent]
	if p == nil {
		return "", daruma.Fail(op, daruma.KindInvalid, "agent %q is unknown; accepted: %s", start.Agent, strings.Join(names(s.agents), ", "))
	}
	if strings.TrimSpace(start.Input) == "" {
		return "", daruma.Fail(op, daruma.KindInvalid, "input is empty; accepted: what agent %s is asked to do", start.Agent)
	}
	if err := start.Limits.Check(); err != nil {
		return "", err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	if start.ID == "" {
		var random [10]byte
		rand.Read(random[:]) // never fails
		start.ID = daruma.NewRunID(now, random)
	} else if err := start.ID.Check(); err != nil {
		return "", err
	}
	if err := s.prepare(ctx, p, &start, now); err != nil {
		return "", err
	}
	tx := p.first(start, now, nonce(16))
	err := s.begin(ctx, tx)
	if taken, ok := errors.AsType[*daruma.KeyTaken](err); ok && taken.Same && start.Key != "" {
		return taken.Run, nil
	}
	if err != nil {
		return "", err
	}
	return start.ID, nil
}

// prepare decides what a run begins with that depends on the runs before it.
func (s *Shell) prepare(ctx context.Context, p *profile, start *Start, now time.Time) (err error) {
	start.lowered = s.lowered(p, now)
	start.lessons, err = s.lessons(ctx, p, start.Tenant)
	return err
}

// begin commits the Tx that begins a run, and hands the run to the loop where
// this shell takes runs on.
func (s *Shell) begin(ctx context.Context, tx daruma.Tx) error {
	if node := s.taking(); node != "" {
		defer s.starts.Done()
		tx.Node = node
	}
	in, err := s.bear(ctx, tx)
	if tx.Node != "" && in != nil {
		if err == nil {
			s.waiters.bear(tx.Run)
		}
		select {
		case s.inputs <- in:
		case <-s.finished: // the journal is down; the next process claims it
		}
	}
	return err
}

// bear commits the Tx that begins a run, and returns what the loop must know
// of it: the run, or that nobody knows whether it has begun. In the second case
// it may stand in the journal as this shell's, and nobody else would take it.
func (s *Shell) bear(ctx context.Context, tx daruma.Tx) (input, error) {
	err := s.journal.Commit(ctx, []daruma.Tx{tx})[0]
	if err == nil {
		return born(tx), nil
	}
	switch daruma.KindOf(err) {
	case daruma.KindTimeout, daruma.KindCancelled, daruma.KindUnavailable:
		return unborn(tx.Run), err
	}
	return nil, err
}

// taking returns the node for which a new run may be born, "" while this shell
// takes none on. The caller calls starts.Done when the run is handed over.
func (s *Shell) taking() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != working {
		return ""
	}
	s.starts.Add(1)
	return s.node
}

// born is a run that the Tx has begun for this shell.
func born(tx daruma.Tx) taken {
	events := slices.Clone(tx.Events)
	for i := range events {
		events[i].Seq = int64(i + 1)
	}
	head := int64(len(events))
	t := taken{info: daruma.RunInfo{ID: tx.Run, Tenant: tx.Tenant, Type: tx.Type, Name: tx.Name, Head: head, Epoch: 1, Node: tx.Node},
		fresh: events, last: events[head-1].Time}
	t.run, t.err = foldSafely(tx.Run, tx.Tenant, events)
	for _, b := range tx.Blobs {
		if t.sizes == nil {
			t.sizes = map[daruma.Digest]int64{}
		}
		t.sizes[b.Digest] = int64(len(b.Bytes))
	}
	return t
}

// first is the Tx that begins a run. The nonce must be one nobody can guess.
func (p *profile) first(start Start, now time.Time, nonce string) daruma.Tx {
	tx := daruma.Tx{Tenant: start.Tenant, Run: start.ID, Type: daruma.AgentRun, Name: p.Name, State: daruma.Running}
	started := daruma.Started{
		Agent: p.Name, Instructions: p.Instructions, Models: p.models, Tools: p.specs,
		Limits: start.Limits.Over(p.Limits), Ladder: p.Ladder, DefaultLadder: p.defaultLadder(), Nonce: nonce, Key: start.Key, Parent: start.parent,
		Input: daruma.Message{Role: daruma.RoleUser}, Compact: p.Compact, Windows: p.windows, Lowered: start.lowered, Lessons: start.lessons,
	}
	var blob *daruma.Blob
	started.Input.Text, started.Input.Ref, blob = inline(start.Input)
	if blob != nil {
		tx.Blobs, started.Input.Size = append(tx.Blobs, *blob), int64(len(blob.Bytes))
	}
	if start.Key != "" {
		tx.Keys = []daruma.KeyClaim{{Key: start.Key, Fingerprint: start.fingerprint()}}
	}
	e := daruma.NewEvent(daruma.KindStarted, daruma.ActorShell, started)
	e.Time = now
	tx.Events = []daruma.Event{e}
	return tx
}

// fingerprint is of what a key stands for.
func (s Start) fingerprint() daruma.Digest {
	b, err := json.Marshal([]any{s.Agent, s.Input, s.Limits})
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return daruma.DigestOf(b)
}

// defaultLadder is the version of the default ladder that a run of this agent
// is frozen to, 0 where the agent has a ladder of its own.
func (p *profile) defaultLadder() int {
	if p.Ladder.IsZero() {
		return daruma.DefaultLadderVersion
	}
	return 0
}
