package sqlite

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// maxName bounds keys, topics, nodes and the like, in bytes.
const maxName = 255

// invalid is the verdict on a Tx that contradicts itself.
func invalid(format string, args ...any) error {
	return daruma.Fail("sqlite.Commit", daruma.KindInvalid, format, args...)
}

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

// checkTx refuses a Tx that contradicts itself, before it costs the writer
// anything.
func checkTx(tx *daruma.Tx) error {
	var err error
	if tx.Run == "" {
		err = checkLoose(tx)
	} else {
		err = checkRun(tx)
	}
	if err != nil {
		return err
	}
	for _, k := range tx.Keys {
		if fault := nameFault(k.Key); fault != "" {
			return invalid("key %q %s", k.Key, fault)
		}
	}
	for i := range tx.Approvals {
		a := &tx.Approvals[i]
		if fault := nameFault(a.ID); fault != "" {
			return invalid("id %q of an approval %s", a.ID, fault)
		}
		if a.Run != tx.Run {
			return invalid("approval %s is of run %q, the Tx of run %q", a.ID, a.Run, tx.Run)
		}
	}
	for i := range tx.Blobs {
		if b := &tx.Blobs[i]; daruma.DigestOf(b.Bytes) != b.Digest {
			return invalid("blob %s: its bytes have digest %s", b.Digest, daruma.DigestOf(b.Bytes))
		}
	}
	return checkSpends(tx)
}

// checkLoose checks a Tx that belongs to no run.
func checkLoose(tx *daruma.Tx) error {
	if tx.Head != 0 || tx.Epoch != 0 || len(tx.Events) > 0 || len(tx.Folded) > 0 || tx.Release || tx.State != daruma.Running || !tx.WakeAt.IsZero() {
		return invalid("a Tx without a run has no head, epoch, events, posts, state or wake time")
	}
	if len(tx.Keys)+len(tx.Approvals)+len(tx.Closed)+len(tx.Spends)+len(tx.Blobs) == 0 {
		return invalid("the Tx is empty")
	}
	return nil
}

// checkRun checks the parts of a Tx that concern its run.
func checkRun(tx *daruma.Tx) error {
	if err := tx.Run.Check(); err != nil {
		return &daruma.Failure{Op: "sqlite.Commit", Kind: daruma.KindInvalid, Err: err}
	}
	switch {
	case tx.Head < 0 || tx.Epoch < 0:
		return invalid("run %s: head %d and epoch %d: accepted are 0 and above", tx.Run, tx.Head, tx.Epoch)
	case tx.Head == 0 && len(tx.Events) == 0:
		return invalid("run %s: a run starts with an event", tx.Run)
	case tx.Head == 0 && tx.Type == "":
		return invalid("run %s: a new run needs a type", tx.Run)
	case tx.State >= daruma.Quarantined:
		return invalid("run %s: state %s is not the caller's to give", tx.Run, tx.State)
	case !tx.WakeAt.IsZero() && tx.State != daruma.Waiting && tx.State != daruma.ParkedState:
		return invalid("run %s: a %s run has no wake time", tx.Run, tx.State)
	}
	for i, e := range tx.Events {
		switch {
		case e.Kind == "":
			return invalid("run %s: event %d has no kind", tx.Run, i)
		case e.Time.IsZero():
			return invalid("run %s: event %d (%s) has no time", tx.Run, i, e.Kind)
		case e.Seq != 0 && e.Seq != tx.Head+int64(i)+1:
			return invalid("run %s: event %d (%s) has seq %d behind head %d; accepted are 0 and %d", tx.Run, i, e.Kind, e.Seq, tx.Head, tx.Head+int64(i)+1)
		}
	}
	for i, p := range tx.Folded {
		if slices.Contains(tx.Folded[:i], p) {
			return invalid("run %s: post %s %s is folded in twice", tx.Run, p.Topic, p.Key)
		}
	}
	return nil
}

// checkSpends checks amounts and names of spends.
func checkSpends(tx *daruma.Tx) error {
	for _, s := range tx.Spends {
		switch {
		case s.Amount < 0 || s.Limit < 0:
			return invalid("spend on budget %q: amount %d of limit %d: negative", s.Budget, s.Amount, s.Limit)
		case s.Op > daruma.SpendRelease:
			return invalid("spend on budget %q: operation %d is unknown", s.Budget, s.Op)
		case nameFault(s.Budget) != "":
			return invalid("budget %q %s", s.Budget, nameFault(s.Budget))
		case nameFault(s.Grant) != "":
			return invalid("grant %q %s", s.Grant, nameFault(s.Grant))
		}
	}
	return nil
}

// checkPost refuses posts that could not be folded in.
func checkPost(p *daruma.Post) error {
	const op = "sqlite.Post"
	if err := p.Run.Check(); err != nil {
		return &daruma.Failure{Op: op, Kind: daruma.KindInvalid, Err: err}
	}
	if fault := nameFault(p.Topic); fault != "" {
		return daruma.Fail(op, daruma.KindInvalid, "topic %q %s", p.Topic, fault)
	}
	if fault := nameFault(p.Key); fault != "" {
		return daruma.Fail(op, daruma.KindInvalid, "key %q %s", p.Key, fault)
	}
	if len(p.Payload) > 0 && !json.Valid(p.Payload) {
		return daruma.Fail(op, daruma.KindInvalid, "payload of %s %s is not JSON", p.Topic, p.Key)
	}
	return nil
}
