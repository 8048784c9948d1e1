package darumatest

import (
	"bytes"
	"context"
	"time"

	"github.com/daruma-run/daruma"
)

var commitTests = []journalTest{
	{"a run starts once", func(j *journal) {
		j.commit(birth("r", "a"))
		j.refuse(birth("r", "a"), daruma.KindExists)
		other := birth("r", "b")
		other.Tenant = "other"
		if err := j.Commit(j.Context(), []daruma.Tx{other})[0]; daruma.KindOf(err) != daruma.KindExists {
			j.Fatalf("another tenant started the same run: %v", err)
		}
	}},
	{"what was committed is read back", func(j *journal) {
		tx := birth("r", "a")
		tx.Tenant, tx.Name, tx.Note = "acme", "refunds", "began"
		tx.Events = append(tx.Events, happened("x.unknown")...)
		tx.Events[1].Payload = []byte("{\"é\":\"\\u0000\", \"spaced\" : 1e400}")
		tx.Events[1].Time = clock.Add(time.Microsecond)
		j.commit(tx)
		got := j.all("r")
		if len(got) != 2 {
			j.Fatalf("%d events, want 2", len(got))
		}
		for i, e := range got {
			want := tx.Events[i]
			if e.Seq != int64(i+1) || e.Kind != want.Kind || !e.Time.Equal(want.Time) || e.Time.Location() != time.UTC || e.Actor != want.Actor || !bytes.Equal(e.Payload, want.Payload) {
				j.Errorf("event %d: got %+v, want %+v", i+1, e, want)
			}
		}
		want := daruma.RunInfo{
			ID: "r", Tenant: "acme", Type: daruma.AgentRun, Name: "refunds", Note: "began",
			Head: 2, Epoch: 1, Node: "a", Started: clock, Updated: clock.Add(time.Microsecond),
		}
		if info := j.info("r"); info != want {
			j.Errorf("info: got %+v, want %+v", info, want)
		}
	}},
	{"a run nobody holds has epoch 0 and takes no step", func(j *journal) {
		j.commit(birth("r", ""))
		if info := j.info("r"); info.Epoch != 0 || info.Node != "" {
			j.Errorf("info: %+v", info)
		}
		j.refuse(step("r", 1, 0, daruma.KindReplied), daruma.KindFenced)
	}},
	{"head and epoch are checked", func(j *journal) {
		j.commit(birth("r", "a"))
		j.commit(step("r", 1, 1, daruma.KindReplied, daruma.KindJudged))
		j.refuse(step("r", 1, 1, daruma.KindReplied), daruma.KindConflict)
		j.refuse(step("r", 2, 1, daruma.KindReplied), daruma.KindConflict)
		j.refuse(step("r", 4, 1, daruma.KindReplied), daruma.KindConflict)
		j.refuse(step("r", 3, 2, daruma.KindReplied), daruma.KindFenced)
		j.refuse(step("r", 3, 0, daruma.KindReplied), daruma.KindFenced)
		j.refuse(step("none", 3, 1, daruma.KindReplied), daruma.KindNotFound)
		j.commit(step("r", 3, 1, daruma.KindReplied))
	}},
	{"another tenant does not see the run", func(j *journal) {
		j.commit(birth("r", "a"))
		tx := step("r", 1, 1, daruma.KindReplied)
		tx.Tenant = "other"
		j.refuse(tx, daruma.KindNotFound)
	}},
	{"one verdict each, and the failure of one leaves the others alone", func(j *journal) {
		j.commit(birth("r", "a"))
		txs := []daruma.Tx{
			birth("new", "a"),
			step("r", 7, 1, daruma.KindReplied),
			step("r", 1, 1, daruma.KindReplied),
			birth("new", "a"),
			{Run: "bad", Head: 0, Type: daruma.AgentRun},
			step("r", 2, 1, daruma.KindReplied), // goes on from a Tx of the same call
			birth("last", ""),
		}
		want := []daruma.Kind{0, daruma.KindConflict, 0, daruma.KindExists, daruma.KindInvalid, 0, 0}
		got := j.Commit(j.Context(), txs)
		if len(got) != len(want) {
			j.Fatalf("%d verdicts for %d Txs", len(got), len(txs))
		}
		for i, err := range got {
			if (err == nil) != (want[i] == 0) || daruma.KindOf(err) != want[i] {
				j.Errorf("Tx %d: got %v, want %v", i, err, want[i])
			}
		}
		if n := len(j.all("r")); n != 3 {
			j.Errorf("%d events, want 3", n)
		}
		if n := len(j.all("last")); n != 1 {
			j.Errorf("%d events of the last run, want 1", n)
		}
	}},
	{"a Tx is all or nothing", func(j *journal) {
		held := birth("holder", "a")
		held.Keys = []daruma.KeyClaim{{Key: "taken", Fingerprint: daruma.DigestOf([]byte("1"))}}
		j.commit(held)
		j.commit(birth("r", "a"))
		j.post("r", "t", "k")
		bytes := []byte("content")
		tx := step("r", 1, 1, daruma.KindReplied, daruma.KindReceived)
		tx.State, tx.Note = daruma.Waiting, "changed"
		tx.Folded = []daruma.PostID{{Topic: "t", Key: "k"}}
		tx.Approvals = []daruma.Approval{{ID: "ap", Run: "r"}}
		tx.Blobs = []daruma.Blob{{Digest: daruma.DigestOf(bytes), Bytes: bytes}}
		tx.Spends = []daruma.Spend{{Budget: "b", Limit: 10, Grant: "g", Amount: 10}}
		tx.Keys = []daruma.KeyClaim{{Key: "free"}, {Key: "taken"}}
		before := j.info("r")
		j.refuse(tx, daruma.KindConflict)
		if info := j.info("r"); info != before {
			j.Errorf("info: got %+v, want %+v", info, before)
		}
		if open, err := j.Approvals(j.Context(), ""); err != nil || len(open) != 0 {
			j.Errorf("approvals: %v, %v", open, err)
		}
		if _, err := j.Blob(j.Context(), "", daruma.DigestOf(bytes)); daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("blob: %v", err)
		}
		if posts := j.claim("a", clock).Posts; len(posts) != 1 {
			j.Errorf("%d posts, want 1", len(posts))
		}
		tx.Keys = tx.Keys[:1] // the free key is still free, the budget still whole
		j.commit(tx)
	}},
	{"contradictions are refused", func(j *journal) {
		j.commit(birth("r", "a"))
		base := func(change func(*daruma.Tx)) daruma.Tx {
			tx := step("r", 1, 1, daruma.KindReplied)
			change(&tx)
			return tx
		}
		for name, tx := range map[string]daruma.Tx{
			"nothing at all":        {},
			"events without a run":  {Events: happened(daruma.KindReplied)},
			"a head without a run":  {Head: 3, Keys: []daruma.KeyClaim{{Key: "k"}}},
			"a bad run id":          birth("a b", ""),
			"no first event":        {Run: "x", Type: daruma.AgentRun},
			"no type":               {Run: "x", Events: happened(daruma.KindStarted)},
			"a negative head":       base(func(tx *daruma.Tx) { tx.Head = -1 }),
			"an event without kind": base(func(tx *daruma.Tx) { tx.Events[0].Kind = "" }),
			"an event without time": base(func(tx *daruma.Tx) { tx.Events[0].Time = time.Time{} }),
			"a foreign seq":         base(func(tx *daruma.Tx) { tx.Events[0].Seq = 9 }),
			"quarantine":            base(func(tx *daruma.Tx) { tx.State = daruma.Quarantined }),
			"a running run's alarm": base(func(tx *daruma.Tx) { tx.WakeAt = clock }),
			"a key of nothing":      base(func(tx *daruma.Tx) { tx.Keys = []daruma.KeyClaim{{}} }),
			"a key of two lines":    base(func(tx *daruma.Tx) { tx.Keys = []daruma.KeyClaim{{Key: "a\nb"}} }),
			"a foreign approval":    base(func(tx *daruma.Tx) { tx.Approvals = []daruma.Approval{{ID: "ap", Run: "other"}} }),
			"a blob of other bytes": base(func(tx *daruma.Tx) { tx.Blobs = []daruma.Blob{{Digest: daruma.DigestOf(nil), Bytes: []byte("x")}} }),
			"a negative draw":       base(func(tx *daruma.Tx) { tx.Spends = []daruma.Spend{{Budget: "b", Grant: "g", Limit: 1, Amount: -1}} }),
			"a post folded twice": base(func(tx *daruma.Tx) {
				tx.Folded = []daruma.PostID{{Topic: "t", Key: "k"}, {Topic: "t", Key: "k"}}
			}),
		} {
			if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindInvalid {
				j.Errorf("%s: got %v, want invalid", name, err)
			}
		}
		j.commit(step("r", 1, 1, daruma.KindReplied))
	}},
	{"a run that is over takes no step", func(j *journal) {
		j.commit(birth("r", "a"))
		j.commit(end("r", 1, 1))
		if err := j.Commit(j.Context(), []daruma.Tx{step("r", 2, 1, daruma.KindReplied)})[0]; err == nil {
			j.Error("a finished run took a step")
		}
		j.commit(birth("kept", "a"))
		kept := end("kept", 1, 1)
		kept.Release = false
		j.commit(kept)
		if err := j.Commit(j.Context(), []daruma.Tx{step("kept", 2, 1, daruma.KindReplied)})[0]; err == nil {
			j.Error("a finished run that was not released took a step")
		}
		if info := j.info("r"); info.State != daruma.Completed || info.Head != 2 {
			j.Errorf("info: %+v", info)
		}
		if got := ids(j.claim("b", clock.Add(time.Hour))); len(got) != 0 {
			j.Errorf("claimed %v", got)
		}
	}},
	{"a context that is over changes nothing", func(j *journal) {
		ctx, cancel := context.WithCancel(j.Context())
		cancel()
		if err := j.Commit(ctx, []daruma.Tx{birth("r", "a")})[0]; daruma.KindOf(err) != daruma.KindCancelled {
			j.Errorf("commit: %v", err)
		}
		if _, err := j.Post(ctx, message("r", "t", "k")); daruma.KindOf(err) != daruma.KindCancelled {
			j.Errorf("post: %v", err)
		}
		if _, err := j.Run(j.Context(), "r"); daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("run: %v", err)
		}
	}},
	{"no Txs, no verdicts", func(j *journal) {
		if got := j.Commit(j.Context(), nil); len(got) != 0 {
			j.Errorf("got %v", got)
		}
	}},
}
