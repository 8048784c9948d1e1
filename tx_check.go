package daruma

import (
	"encoding/json"
	"slices"
	"strings"
)

// maxName bounds keys, topics, nodes and the like, in bytes.
const maxName = 255

// nameFault says what is wrong with a name; empty: nothing.
func nameFault(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > maxName:
		return "is longer than 255 bytes"
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "holds a control character"
	}
	return ""
}

// Check refuses a Tx that contradicts itself, whatever the journal holds, with
// a *Failure of KindInvalid. Every [Journal] refuses such a Tx before it looks
// at the run:
//   - a Tx without a run has keys, approvals, spends, blobs or posts, and
//     nothing else,
//   - a new run has a type and an event; an event has a kind, a time, and no
//     Seq or the one that follows,
//   - only a waiting or parked run has a WakeAt,
//   - a Tx that quarantines a run releases it, is not its first and has no
//     events,
//   - names (of keys, approvals, budgets and grants) are 1 to 255 bytes
//     without control characters,
//   - approvals are of the Tx's run, blobs have their digest, no amount is
//     negative, no post is folded twice,
//   - posts are such as [Post.Check] accepts, to other runs of the tenant, and
//     have a time.
func (tx *Tx) Check() error {
	check := tx.checkRun
	if tx.Run == "" {
		check = tx.checkLoose
	}
	if err := check(); err != nil {
		return err
	}
	for _, k := range tx.Keys {
		if fault := nameFault(k.Key); fault != "" {
			return badTx("key %q %s", k.Key, fault)
		}
	}
	for i := range tx.Approvals {
		a := &tx.Approvals[i]
		if fault := nameFault(a.ID); fault != "" {
			return badTx("id %q of an approval %s", a.ID, fault)
		}
		if a.Run != tx.Run {
			return badTx("approval %s is of run %q, the Tx of run %q", a.ID, a.Run, tx.Run)
		}
	}
	for i := range tx.Blobs {
		b := &tx.Blobs[i]
		if got := DigestOf(b.Bytes); got != b.Digest {
			return badTx("blob %s: its bytes have digest %s", b.Digest, got)
		}
	}
	for i := range tx.Posts {
		p := &tx.Posts[i]
		if err := p.Check(); err != nil {
			return err
		}
		if p.Tenant != tx.Tenant || p.Run == tx.Run || p.Time.IsZero() {
			return badTx("post %s %s to run %q: accepted is one to another run of the same tenant, with a time", p.Topic, p.Key, p.Run)
		}
	}
	return tx.checkSpends()
}

func badTx(format string, args ...any) error { return Fail("daruma.Tx", KindInvalid, format, args...) }

// checkLoose checks a Tx that belongs to no run.
func (tx *Tx) checkLoose() error {
	if tx.Head != 0 || tx.Epoch != 0 || len(tx.Events) > 0 || len(tx.Folded) > 0 || tx.Release || tx.State != Running || !tx.WakeAt.IsZero() {
		return badTx("a Tx without a run has no head, epoch, events, posts, state or wake time")
	}
	if len(tx.Keys)+len(tx.Approvals)+len(tx.Closed)+len(tx.Spends)+len(tx.Blobs)+len(tx.Posts) == 0 {
		return badTx("the Tx is empty")
	}
	return nil
}

// checkRun checks the parts of a Tx that concern its run.
func (tx *Tx) checkRun() error {
	if err := tx.Run.Check(); err != nil {
		return &Failure{Op: "daruma.Tx", Kind: KindInvalid, Err: err}
	}
	switch {
	case tx.Head < 0 || tx.Epoch < 0:
		return badTx("run %s: head %d and epoch %d: accepted are 0 and above", tx.Run, tx.Head, tx.Epoch)
	case tx.Head == 0 && len(tx.Events) == 0:
		return badTx("run %s: a run starts with an event", tx.Run)
	case tx.Head == 0 && tx.Type == "":
		return badTx("run %s: a new run needs a type", tx.Run)
	case tx.State > Quarantined:
		return badTx("run %s: state %s is unknown", tx.Run, tx.State)
	case tx.State == Quarantined && (tx.Head == 0 || len(tx.Events) > 0 || !tx.Release):
		return badTx("run %s: a Tx that quarantines releases the run, is not its first and adds no event", tx.Run)
	case !tx.WakeAt.IsZero() && tx.State != Waiting && tx.State != ParkedState:
		return badTx("run %s: a %s run has no wake time", tx.Run, tx.State)
	}
	for i, e := range tx.Events {
		switch {
		case e.Kind == "":
			return badTx("run %s: event %d has no kind", tx.Run, i)
		case e.Time.IsZero():
			return badTx("run %s: event %d (%s) has no time", tx.Run, i, e.Kind)
		case e.Seq != 0 && e.Seq != tx.Head+int64(i)+1:
			return badTx("run %s: event %d (%s) has seq %d behind head %d; accepted are 0 and %d", tx.Run, i, e.Kind, e.Seq, tx.Head, tx.Head+int64(i)+1)
		}
	}
	for i, p := range tx.Folded {
		if slices.Contains(tx.Folded[:i], p) {
			return badTx("run %s: post %s %s is folded in twice", tx.Run, p.Topic, p.Key)
		}
	}
	return nil
}

// checkSpends checks amounts and names of spends.
func (tx *Tx) checkSpends() error {
	for _, s := range tx.Spends {
		switch {
		case s.Amount < 0 || s.Limit < 0:
			return badTx("spend on budget %q: amount %d of limit %d: negative", s.Budget, s.Amount, s.Limit)
		case s.Op > SpendRaise:
			return badTx("spend on budget %q: operation %d is unknown", s.Budget, s.Op)
		case nameFault(s.Budget) != "":
			return badTx("budget %q %s", s.Budget, nameFault(s.Budget))
		case nameFault(s.Grant) != "":
			return badTx("grant %q %s", s.Grant, nameFault(s.Grant))
		}
	}
	return nil
}

// Check refuses a post that no run could fold in, with a *Failure of
// KindInvalid: run, topic and key must be names, and a payload must be JSON.
// Every [Journal] refuses such a post.
func (p *Post) Check() error {
	const op = "daruma.Post"
	if err := p.Run.Check(); err != nil {
		return &Failure{Op: op, Kind: KindInvalid, Err: err}
	}
	if fault := nameFault(p.Topic); fault != "" {
		return Fail(op, KindInvalid, "topic %q %s", p.Topic, fault)
	}
	if fault := nameFault(p.Key); fault != "" {
		return Fail(op, KindInvalid, "key %q %s", p.Key, fault)
	}
	if len(p.Payload) > 0 && !json.Valid(p.Payload) {
		return Fail(op, KindInvalid, "payload of %s %s is not JSON", p.Topic, p.Key)
	}
	return nil
}

// Check refuses a claim whose Node is no name (1 to 255 bytes without control
// characters), with a *Failure of KindInvalid. Every [Journal] refuses it.
func (c Claim) Check() error {
	if fault := nameFault(c.Node); fault != "" {
		return Fail("daruma.Claim", KindInvalid, "node %q %s", c.Node, fault)
	}
	return nil
}
