package daruma_test

import (
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

func TestTxCheck(t *testing.T) {
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	long := strings.Repeat("x", 256)
	birth := func(change func(*daruma.Tx)) daruma.Tx {
		tx := daruma.Tx{Run: "r", Type: daruma.AgentRun, Events: []daruma.Event{{Kind: daruma.KindStarted, Time: at}}}
		change(&tx)
		return tx
	}
	step := func(change func(*daruma.Tx)) daruma.Tx {
		tx := daruma.Tx{Run: "r", Head: 4, Epoch: 1, Events: []daruma.Event{{Kind: daruma.KindReplied, Time: at}, {Kind: daruma.KindJudged, Time: at, Seq: 6}}}
		change(&tx)
		return tx
	}
	spend := func(s daruma.Spend) daruma.Tx { return daruma.Tx{Spends: []daruma.Spend{s}} }
	post := func(p daruma.Post) daruma.Tx { return daruma.Tx{Tenant: "acme", Posts: []daruma.Post{p}} }
	key := func(k string) daruma.Tx { return daruma.Tx{Keys: []daruma.KeyClaim{{Key: k}}} }
	for _, test := range []struct {
		name string
		tx   daruma.Tx
		want string // part of the message; empty: accepted
	}{
		{"a new run", birth(func(*daruma.Tx) {}), ""},
		{"a step", step(func(*daruma.Tx) {}), ""},
		{"a step without events", step(func(tx *daruma.Tx) { tx.Events = nil }), ""},
		{"a wait", step(func(tx *daruma.Tx) { tx.State, tx.WakeAt = daruma.Waiting, at }), ""},
		{"a park", step(func(tx *daruma.Tx) { tx.State, tx.WakeAt = daruma.ParkedState, at }), ""},
		{"quarantine", step(func(tx *daruma.Tx) { tx.Events, tx.State, tx.Release = nil, daruma.Quarantined, true }), ""},
		{"a key alone", key("k"), ""},
		{"a key and an approval", daruma.Tx{Keys: []daruma.KeyClaim{{Key: "k"}}, Approvals: []daruma.Approval{{ID: "a"}}}, ""},
		{"a blob and a post", daruma.Tx{Tenant: "acme", Blobs: []daruma.Blob{{Digest: daruma.DigestOf(nil)}}, Posts: []daruma.Post{{Tenant: "acme", Run: "s", Topic: "t", Key: "k", Time: at}}}, ""},
		{"a closed approval and a spend", daruma.Tx{Closed: []string{"a"}, Spends: []daruma.Spend{{Budget: "b", Grant: "g"}}}, ""},
		{"the longest key", key(long[1:]), ""},
		{"a spend alone", spend(daruma.Spend{Budget: "b", Grant: "g", Limit: 1, Amount: 1}), ""},
		{"a post alone", post(daruma.Post{Tenant: "acme", Run: "s", Topic: "t", Key: "k", Time: at}), ""},
		{"a post beside a step", step(func(tx *daruma.Tx) { tx.Posts = []daruma.Post{{Run: "s", Topic: "t", Key: "k", Time: at}} }), ""},
		{"a blob alone", daruma.Tx{Blobs: []daruma.Blob{{Digest: daruma.DigestOf(nil)}}}, ""},

		{"nothing", daruma.Tx{}, "the Tx is empty"},
		{"a head without a run", daruma.Tx{Head: 1}, "without a run"},
		{"an epoch without a run", daruma.Tx{Epoch: 1}, "without a run"},
		{"a release without a run", daruma.Tx{Release: true}, "without a run"},
		{"a state without a run", daruma.Tx{State: daruma.Waiting}, "without a run"},
		{"a wake time without a run", daruma.Tx{WakeAt: at}, "without a run"},
		{"a folded post without a run", daruma.Tx{Folded: []daruma.PostID{{Topic: "t", Key: "k"}}}, "without a run"},
		{"a bad id", birth(func(tx *daruma.Tx) { tx.Run = "a b" }), "a b"},
		{"a negative head", step(func(tx *daruma.Tx) { tx.Head = -1 }), "head -1"},
		{"a negative epoch", step(func(tx *daruma.Tx) { tx.Epoch = -1 }), "epoch -1"},
		{"no first event", birth(func(tx *daruma.Tx) { tx.Events = nil }), "starts with an event"},
		{"no type", birth(func(tx *daruma.Tx) { tx.Type = "" }), "needs a type"},
		{"no such state", step(func(tx *daruma.Tx) { tx.State = daruma.Quarantined + 1 }), "unknown"},
		{"quarantine at birth", birth(func(tx *daruma.Tx) { tx.State, tx.Release = daruma.Quarantined, true }), "quarantines"},
		{"quarantine with events", step(func(tx *daruma.Tx) { tx.State, tx.Release = daruma.Quarantined, true }), "quarantines"},
		{"quarantine, still held", step(func(tx *daruma.Tx) { tx.Events, tx.State = nil, daruma.Quarantined }), "quarantines"},
		{"a running run's alarm", step(func(tx *daruma.Tx) { tx.WakeAt = at }), "running run has no wake time"},
		{"a finished run's alarm", step(func(tx *daruma.Tx) { tx.State, tx.WakeAt = daruma.Completed, at }), "no wake time"},
		{"no kind", step(func(tx *daruma.Tx) { tx.Events[1].Kind = "" }), "event 1 has no kind"},
		{"no time", step(func(tx *daruma.Tx) { tx.Events[0].Time = time.Time{} }), "has no time"},
		{"another seq", step(func(tx *daruma.Tx) { tx.Events[1].Seq = 5 }), "accepted are 0 and 6"},
		{"a post twice", step(func(tx *daruma.Tx) {
			tx.Folded = []daruma.PostID{{Topic: "t", Key: "k"}, {Topic: "u", Key: "k"}, {Topic: "t", Key: "k"}}
		}), "t k is folded in twice"},
		{"an empty key", key(""), "is empty"},
		{"a long key", key(long), "longer than 255"},
		{"a key of two lines", key("a\nb"), "control character"},
		{"a nameless approval", step(func(tx *daruma.Tx) { tx.Approvals = []daruma.Approval{{Run: "r"}} }), "is empty"},
		{"a foreign approval", step(func(tx *daruma.Tx) { tx.Approvals = []daruma.Approval{{ID: "a", Run: "s"}} }), `of run "s"`},
		{"other bytes", daruma.Tx{Blobs: []daruma.Blob{{Digest: daruma.DigestOf(nil), Bytes: []byte("x")}}}, "its bytes have digest"},
		{"a post without a topic", post(daruma.Post{Tenant: "acme", Run: "s", Key: "k", Time: at}), "topic"},
		{"a post of another tenant", post(daruma.Post{Tenant: "other", Run: "s", Topic: "t", Key: "k", Time: at}), "same tenant"},
		{"a post without a time", post(daruma.Post{Tenant: "acme", Run: "s", Topic: "t", Key: "k"}), "with a time"},
		{"a post to itself", step(func(tx *daruma.Tx) { tx.Posts = []daruma.Post{{Run: "r", Topic: "t", Key: "k", Time: at}} }), "another run"},
		{"events without a run", daruma.Tx{Events: []daruma.Event{{Kind: daruma.KindStarted, Time: at}}}, "without a run"},
		{"a negative amount", spend(daruma.Spend{Budget: "b", Grant: "g", Amount: -1}), "negative"},
		{"a negative limit", spend(daruma.Spend{Budget: "b", Grant: "g", Limit: -1}), "negative"},
		{"no such operation", spend(daruma.Spend{Budget: "b", Grant: "g", Op: daruma.SpendRaise + 1}), "unknown"},
		{"no budget", spend(daruma.Spend{Grant: "g"}), "budget"},
		{"no grant", spend(daruma.Spend{Budget: "b"}), "grant"},
	} {
		checked(t, test.name, test.tx.Check(), test.want)
	}
}

func TestPostCheck(t *testing.T) {
	for _, test := range []struct {
		name string
		post daruma.Post
		want string
	}{
		{"a post", daruma.Post{Run: "r", Topic: "t", Key: "k", Payload: []byte(`{}`)}, ""},
		{"no payload", daruma.Post{Run: "r", Topic: "t", Key: "k"}, ""},
		{"no run", daruma.Post{Topic: "t", Key: "k"}, "run"},
		{"no topic", daruma.Post{Run: "r", Key: "k"}, "topic"},
		{"no key", daruma.Post{Run: "r", Topic: "t"}, "key"},
		{"a key with a zero", daruma.Post{Run: "r", Topic: "t", Key: "\x00"}, "control character"},
		{"no JSON", daruma.Post{Run: "r", Topic: "t", Key: "k", Payload: []byte(`{`)}, "not JSON"},
	} {
		checked(t, test.name, test.post.Check(), test.want)
	}
}

func TestClaimCheck(t *testing.T) {
	for node, want := range map[string]string{"a": "", "": "empty", "a\x7f": "control character", strings.Repeat("x", 256): "longer than 255"} {
		checked(t, node, daruma.Claim{Node: node}.Check(), want)
	}
}

func checked(t *testing.T, name string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: refused: %v", name, err)
	case want != "" && (daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: got %v, want invalid that says %q", name, err, want)
	}
}

// TestRaises: only a Tx that raises budgets, and does nothing else, may come
// from a process that does not own the journal.
func TestRaises(t *testing.T) {
	raise := daruma.Spend{Op: daruma.SpendRaise, Budget: "b", Grant: "g", Amount: 1}
	draw := raise
	draw.Op = daruma.SpendDraw
	for name, c := range map[string]struct {
		tx   daruma.Tx
		want bool
	}{
		"nothing":           {daruma.Tx{}, false},
		"a raise":           {daruma.Tx{Tenant: "acme", Spends: []daruma.Spend{raise, raise}}, true},
		"a draw beside it":  {daruma.Tx{Spends: []daruma.Spend{raise, draw}}, false},
		"a run":             {daruma.Tx{Run: "r", Spends: []daruma.Spend{raise}}, false},
		"a key beside it":   {daruma.Tx{Spends: []daruma.Spend{raise}, Keys: []daruma.KeyClaim{{Key: "k"}}}, false},
		"an approval of it": {daruma.Tx{Spends: []daruma.Spend{raise}, Closed: []string{"a"}}, false},
		"a blob beside it":  {daruma.Tx{Spends: []daruma.Spend{raise}, Blobs: []daruma.Blob{{}}}, false},
		"a post beside it":  {daruma.Tx{Spends: []daruma.Spend{raise}, Posts: []daruma.Post{{}}}, false},
	} {
		if got := c.tx.Raises(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
