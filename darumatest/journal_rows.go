package darumatest

import (
	"errors"
	"math"
	"time"

	"github.com/daruma-run/daruma"
)

var rowTests = []journalTest{
	{"a key belongs to one", func(j *journal) {
		one, two := daruma.DigestOf([]byte("1")), daruma.DigestOf([]byte("2"))
		tx := birth("r", "a")
		tx.Keys = []daruma.KeyClaim{{Key: "k", Fingerprint: one}}
		j.commit(tx)
		same := birth("s", "a")
		same.Keys = tx.Keys
		j.taken(j.refuse(same, daruma.KindExists), "r", true)
		other := birth("s", "a")
		other.Keys = []daruma.KeyClaim{{Key: "free"}, {Key: "k", Fingerprint: two}}
		j.taken(j.refuse(other, daruma.KindConflict), "r", false)
		other.Keys = other.Keys[:1]
		j.commit(other)
		tenant := birth("t", "a")
		tenant.Tenant, tenant.Keys = "other", tx.Keys
		j.commit(tenant)
	}},
	{"a key without a run", func(j *journal) {
		tx := daruma.Tx{Keys: []daruma.KeyClaim{{Key: "k", Until: time.Now().Add(time.Hour)}}}
		j.commit(tx)
		j.taken(j.refuse(tx, daruma.KindExists), "", true)
	}},
	{"an expired key is claimed anew", func(j *journal) {
		tx := birth("r", "a")
		tx.Events[0].Time = time.Now()
		tx.Keys = []daruma.KeyClaim{{Key: "k", Until: time.Now().Add(-time.Hour)}}
		j.commit(tx)
		next := birth("s", "a")
		next.Events[0].Time = time.Now()
		next.Keys = []daruma.KeyClaim{{Key: "k", Fingerprint: daruma.DigestOf(nil)}}
		j.commit(next)
		last := birth("t", "a")
		last.Keys = next.Keys
		j.taken(j.refuse(last, daruma.KindExists), "s", true)
	}},
	{"approvals open and close", func(j *journal) {
		ap := daruma.Approval{
			ID: "r.1.0", Run: "r", Call: 2, Tool: "refund", Args: `{"amount":1}`, Hash: daruma.DigestOf([]byte("x")),
			Risk: daruma.RiskCritical, Why: "payments need one", Expires: clock.Add(time.Hour),
		}
		second := ap
		second.ID = "r.1.1"
		tx := birth("r", "a")
		tx.Approvals = []daruma.Approval{ap, second}
		j.commit(tx)
		other := birth("s", "a")
		other.Approvals = []daruma.Approval{{ID: "s.1", Run: "s"}}
		j.commit(other)
		j.open("r", "r.1.0", "r.1.1")
		j.open("", "r.1.0", "r.1.1", "s.1")
		if got, _ := j.Approvals(j.Context(), "r"); got[0] != ap {
			j.Errorf("got %+v, want %+v", got[0], ap)
		}
		again := step("r", 1, 1, daruma.KindApproval)
		again.Approvals = tx.Approvals[:1]
		j.refuse(again, daruma.KindExists)
		closing := step("r", 1, 1, daruma.KindReceived)
		closing.Closed = []string{"r.1.0"}
		j.commit(closing)
		j.open("r", "r.1.1")
		again.Head = 2
		j.refuse(again, daruma.KindExists) // used once
		unknown := step("r", 2, 1, daruma.KindReceived)
		unknown.Closed = []string{"s.1"} // of another run
		j.refuse(unknown, daruma.KindNotFound)
		j.commit(end("r", 2, 1))
		j.open("", "s.1") // those of a run that is over are void
	}},
	{"a budget is not passed", func(j *journal) {
		draw := func(grant string, amount daruma.Money) daruma.Tx {
			return daruma.Tx{Spends: []daruma.Spend{{Budget: "b", Limit: 100, Grant: grant, Node: "a", Amount: amount}}}
		}
		move := func(op daruma.SpendOp, grant string, amount daruma.Money) daruma.Tx {
			return daruma.Tx{Spends: []daruma.Spend{{Budget: "b", Limit: 100, Grant: grant, Node: "a", Op: op, Amount: amount}}}
		}
		j.refuse(draw("g1", 101), daruma.KindExhausted)
		j.commit(draw("g1", 60))
		j.refuse(draw("g2", 41), daruma.KindExhausted)
		j.commit(draw("g2", 40))
		j.refuse(draw("g2", 1), daruma.KindExhausted)
		j.commit(move(daruma.SpendSettle, "g1", 10))
		j.refuse(draw("g3", 1), daruma.KindExhausted) // what is drawn counts until it is released
		j.commit(move(daruma.SpendRelease, "g1", 50))
		j.refuse(draw("g3", 51), daruma.KindExhausted)
		j.commit(draw("g3", 50)) // 10 settled, 40 and 50 drawn
		j.commit(move(daruma.SpendSettle, "g3", 70))
		j.commit(move(daruma.SpendRelease, "g2", 40))
		j.refuse(draw("g4", 21), daruma.KindExhausted) // 10 and 70 settled, more than was drawn
		j.commit(draw("g4", 20))
		j.refuse(draw("g4", math.MaxInt64), daruma.KindExhausted)
		j.refuse(move(daruma.SpendSettle, "none", 1), daruma.KindNotFound)
		other := draw("g1", 100)
		other.Spends[0].Budget, other.Spends[0].Grant = "other", "o1"
		j.commit(other)
	}},
	{"the draws of one Tx count together", func(j *journal) {
		tx := daruma.Tx{Spends: []daruma.Spend{
			{Budget: "b", Limit: 10, Grant: "g", Amount: 6},
			{Budget: "b", Limit: 10, Grant: "h", Amount: 6},
		}}
		j.refuse(tx, daruma.KindExhausted)
		tx.Spends[1].Amount = 4
		j.commit(tx)
	}},
	{"a budget is raised", raised},
	{"budgets are listed", listed},
	{"blobs are kept by tenant", func(j *journal) {
		content := []byte{0, 1, 0xff, 0}
		digest := daruma.DigestOf(content)
		tx := birth("r", "a")
		tx.Tenant, tx.Blobs = "acme", []daruma.Blob{{Digest: digest, Bytes: content}, {Digest: daruma.DigestOf(nil)}}
		j.commit(tx)
		again := daruma.Tx{Tenant: "acme", Blobs: tx.Blobs}
		j.commit(again)
		if b, err := j.Blob(j.Context(), "acme", digest); err != nil || string(b) != string(content) {
			j.Errorf("got %q, %v", b, err)
		}
		if b, err := j.Blob(j.Context(), "acme", daruma.DigestOf(nil)); err != nil || len(b) != 0 {
			j.Errorf("the empty blob: %q, %v", b, err)
		}
		if _, err := j.Blob(j.Context(), "", digest); daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("another tenant: %v", err)
		}
	}},
}

// taken wants a KeyTaken in the verdict.
func (j *journal) taken(err error, run daruma.RunID, same bool) {
	j.Helper()
	k, ok := errors.AsType[*daruma.KeyTaken](err)
	if !ok || k.Run != run || k.Same != same {
		j.Errorf("verdict %v: %+v, want run %q, same %v", err, k, run, same)
	}
}

// open wants exactly these approvals open.
func (j *journal) open(run daruma.RunID, want ...string) {
	j.Helper()
	got, err := j.Approvals(j.Context(), run)
	if err != nil {
		j.Fatal(err)
	}
	ok := len(got) == len(want)
	for i := range got {
		ok = ok && got[i].ID == want[i]
	}
	if !ok {
		j.Errorf("open: %+v, want %v", got, want)
	}
}
