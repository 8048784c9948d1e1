package darumatest

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

var claimTests = []journalTest{
	{"a new run is claimed once, with its events", func(j *journal) {
		j.commit(birth("r", ""))
		if !j.woken() {
			j.Error("a new run did not wake")
		}
		now := clock.Add(time.Second)
		got := j.claim("a", now)
		if !slices.Equal(ids(got), []daruma.RunID{"r"}) || got.More {
			j.Fatalf("claimed %v, more %v", ids(got), got.More)
		}
		r := got.Runs[0]
		if r.Run.Epoch != 1 || r.Run.Node != "a" || r.Run.Head != 2 || r.Run.State != daruma.Running {
			j.Errorf("claimed: %+v", r.Run)
		}
		if info := j.info("r"); info != r.Run {
			j.Errorf("the run is %+v, the claim said %+v", info, r.Run)
		}
		if len(r.Events) != 2 || r.Events[0].Kind != daruma.KindStarted {
			j.Fatalf("events: %+v", r.Events)
		}
		e := r.Events[1]
		var c daruma.Claim
		if err := json.Unmarshal(e.Payload, &c); err != nil || c.Node != "a" || c.Epoch != 1 {
			j.Errorf("payload %s: %v", e.Payload, err)
		}
		if e.Seq != 2 || e.Kind != daruma.KindClaimed || e.Actor != "node:a" || !e.Time.Equal(now) {
			j.Errorf("event: %+v", e)
		}
		if all := j.all("r"); len(all) != 2 || all[1].Kind != daruma.KindClaimed {
			j.Errorf("stored: %+v", all)
		}
		if again := ids(j.claim("a", now)); len(again) != 0 {
			j.Errorf("claimed again: %v", again)
		}
		j.commit(step("r", 2, 1, daruma.KindReplied))
	}},
	{"a born claim is not claimed by its node", func(j *journal) {
		j.commit(birth("r", "a"))
		if got := ids(j.claim("a", clock)); len(got) != 0 {
			j.Errorf("claimed %v", got)
		}
	}},
	{"a claim fences the holder before", func(j *journal) {
		j.commit(birth("r", ""))
		j.claim("a", clock)
		tx := step("r", 2, 1, daruma.KindReplied)
		tx.Release = true // as a node does that shuts down
		j.commit(tx)
		got := j.claim("b", clock)
		if len(got.Runs) != 1 || got.Runs[0].Run.Epoch != 2 {
			j.Fatalf("claims: %+v", got)
		}
		j.refuse(step("r", 4, 1, daruma.KindReplied), daruma.KindFenced)
		j.refuse(step("r", 3, 1, daruma.KindReplied), daruma.KindFenced)
		j.commit(step("r", 4, 2, daruma.KindReplied))
	}},
	{"who released a run writes no more", func(j *journal) {
		j.commit(birth("r", "a"))
		j.commit(rest("r", 1, 1, daruma.ParkedState, time.Time{}))
		if info := j.info("r"); info.Node != "" || info.State != daruma.ParkedState {
			j.Errorf("info: %+v", info)
		}
		j.refuse(step("r", 2, 1, daruma.KindReplied), daruma.KindFenced)
	}},
	{"a claim of what was released, or never held, is clean", func(j *journal) {
		j.commit(birth("r", ""))
		j.cleanly(j.claim("a", clock), "r", true)
		tx := step("r", 2, 1)
		tx.Release = true // as a node does that shuts down while a model is asked
		j.commit(tx)
		j.cleanly(j.claimWith(daruma.Claim{Node: "b", Now: clock, Clean: false}), "r", true)
		j.commit(rest("r", 3, 2, daruma.Waiting, clock))
		j.cleanly(j.claim("b", clock), "r", true)
	}},
	{"a run that cannot be folded is quarantined by its holder", func(j *journal) {
		j.commit(birth("r", "a"))
		j.post("r", "t", "k")
		tx := step("r", 1, 1)
		tx.State, tx.Release, tx.Note = daruma.Quarantined, true, "cannot be read"
		j.commit(tx)
		if info := j.info("r"); info.State != daruma.Quarantined || info.Node != "" || info.Note != tx.Note || info.Head != 1 {
			j.Errorf("info: %+v", info)
		}
		if got := j.claim("a", clock.Add(time.Hour)); len(got.Runs) != 0 || len(got.Posts) != 0 {
			j.Errorf("claims: %+v", got)
		}
		j.refuse(step("r", 1, 1, daruma.KindReplied), daruma.KindCorrupt)
		if _, err := j.Post(j.Context(), message("r", "t", "other")); daruma.KindOf(err) != daruma.KindCorrupt {
			j.Errorf("post: %v", err)
		}
	}},
	{"events begin at the last checkpoint", func(j *journal) {
		j.commit(birth("r", "a"))
		j.commit(step("r", 1, 1, daruma.KindReplied, daruma.KindCheckpoint, daruma.KindReplied))
		j.commit(step("r", 4, 1, daruma.KindTurnEnded, daruma.KindCheckpoint))
		tx := step("r", 6, 1, daruma.KindReplied)
		tx.Release = true
		j.commit(tx)
		got := j.claim("b", clock)
		if len(got.Runs) != 1 {
			j.Fatalf("claims: %+v", got)
		}
		var seqs []int64
		for _, e := range got.Runs[0].Events {
			seqs = append(seqs, e.Seq)
		}
		if !slices.Equal(seqs, []int64{6, 7, 8}) || got.Runs[0].Events[0].Kind != daruma.KindCheckpoint {
			j.Errorf("seqs %v, want 6 to 8", seqs)
		}
	}},
	{"waiting and parked runs wake at their time", func(j *journal) {
		for i, id := range []daruma.RunID{"waits", "parked", "forever", "held"} {
			j.commit(birth(id, "a"))
			tx := rest(id, 1, 1, daruma.Waiting, clock.Add(time.Duration(i+1)*time.Minute))
			switch id {
			case "parked":
				tx.State = daruma.ParkedState
			case "forever":
				tx.State, tx.WakeAt = daruma.ParkedState, time.Time{}
			case "held":
				tx.WakeAt, tx.Release = clock, false // its node has its own timer
			}
			j.commit(tx)
		}
		early := j.claim("a", clock.Add(time.Minute-time.Microsecond))
		if len(early.Runs) != 0 || !early.Next.Equal(clock.Add(time.Minute)) {
			j.Fatalf("early: %v, next %v", ids(early), early.Next)
		}
		due := j.claim("a", clock.Add(time.Minute))
		if !slices.Equal(ids(due), []daruma.RunID{"waits"}) || !due.Next.Equal(clock.Add(2*time.Minute)) {
			j.Fatalf("due: %v, next %v", ids(due), due.Next)
		}
		if info := j.info("waits"); info.State != daruma.Running || !info.WakeAt.IsZero() {
			j.Errorf("a claimed run is %+v", info)
		}
		late := j.claim("a", clock.Add(time.Hour))
		if !slices.Equal(ids(late), []daruma.RunID{"parked"}) || !late.Next.IsZero() {
			j.Fatalf("late: %v, next %v", ids(late), late.Next)
		}
	}},
	{"max and more", func(j *journal) {
		for _, id := range []daruma.RunID{"r1", "r2", "r3"} {
			j.commit(birth(id, ""))
		}
		first := j.claimWith(daruma.Claim{Node: "a", Now: clock, Max: 2})
		if len(first.Runs) != 2 || !first.More {
			j.Fatalf("first: %v, more %v", ids(first), first.More)
		}
		second := j.claimWith(daruma.Claim{Node: "a", Now: clock, Max: 2})
		if len(second.Runs) != 1 || second.More {
			j.Fatalf("second: %v, more %v", ids(second), second.More)
		}
	}},
	{"by type", func(j *journal) {
		flow := birth("flow", "")
		flow.Type = "flow"
		j.commit(flow)
		j.commit(birth("agent", ""))
		if got := ids(j.claimWith(daruma.Claim{Node: "a", Now: clock, Type: "flow"})); !slices.Equal(got, []daruma.RunID{"flow"}) {
			j.Errorf("claimed %v", got)
		}
		if got := ids(j.claimWith(daruma.Claim{Node: "a", Now: clock})); !slices.Equal(got, []daruma.RunID{"agent"}) {
			j.Errorf("claimed %v", got)
		}
	}},
	{"a claim needs a node", func(j *journal) {
		if _, err := j.Claim(j.Context(), daruma.Claim{Now: clock}); daruma.KindOf(err) != daruma.KindInvalid {
			j.Errorf("got %v", err)
		}
	}},
}

// cleanly wants exactly one run claimed, and its event to say so much.
func (j *journal) cleanly(got daruma.Claims, id daruma.RunID, clean bool) {
	j.Helper()
	if !slices.Equal(ids(got), []daruma.RunID{id}) {
		j.Fatalf("claimed %v, want %s", ids(got), id)
	}
	r := got.Runs[0]
	e := r.Events[len(r.Events)-1]
	var c daruma.Claim
	if err := json.Unmarshal(e.Payload, &c); err != nil || e.Kind != daruma.KindClaimed || c.Epoch != r.Run.Epoch || c.Clean != clean {
		j.Errorf("event %s %s (%v): want epoch %d, clean %v", e.Kind, e.Payload, err, r.Run.Epoch, clean)
	}
}

var reopenTests = []journalTest{
	{"a claim of what was held is not clean, even after two ends", func(j *journal) {
		j.commit(birth("r", "a"))
		j.Journal = j.reopen(j.T, j.Journal)
		j.refuse(step("r", 1, 1, daruma.KindReplied), daruma.KindFenced)
		j.Journal = j.reopen(j.T, j.Journal) // nobody claimed it meanwhile
		j.cleanly(j.claim("a", clock), "r", false)
		j.Journal = j.reopen(j.T, j.Journal)
		j.cleanly(j.claimWith(daruma.Claim{Node: "a", Now: clock, Clean: true}), "r", false)
		tx := step("r", 3, 3)
		tx.Release = true
		j.commit(tx)
		j.Journal = j.reopen(j.T, j.Journal)
		j.cleanly(j.claim("a", clock), "r", true)
	}},
	{"runs of the dead are claimed, even by their own node's name", func(j *journal) {
		j.commit(birth("running", "a"))
		j.commit(step("running", 1, 1, daruma.KindReplied))
		j.commit(birth("parked", "a"))
		j.commit(rest("parked", 1, 1, daruma.ParkedState, time.Time{}))
		j.commit(birth("waiting", "a"))
		held := rest("waiting", 1, 1, daruma.Waiting, clock)
		held.Release = false
		j.commit(held)
		j.commit(birth("done", "a"))
		j.commit(end("done", 1, 1))
		j.Journal = j.reopen(j.T, j.Journal)
		got := j.claim("a", clock)
		slices.SortFunc(got.Runs, func(a, b daruma.Claimed) int { return int(len(a.Run.ID)) - int(len(b.Run.ID)) })
		names := ids(got)
		slices.Sort(names)
		if !slices.Equal(names, []daruma.RunID{"running", "waiting"}) {
			j.Fatalf("claimed %v", names)
		}
		for _, r := range got.Runs {
			if r.Run.Epoch != 2 {
				j.Errorf("%s has epoch %d, want 2", r.Run.ID, r.Run.Epoch)
			}
		}
		j.refuse(step("running", 3, 1, daruma.KindReplied), daruma.KindFenced)
		j.commit(step("running", 3, 2, daruma.KindReplied))
	}},
	{"everything acknowledged is there", func(j *journal) {
		content := []byte("content")
		tx := birth("r", "a")
		tx.Keys = []daruma.KeyClaim{{Key: "k", Fingerprint: daruma.DigestOf([]byte("f"))}}
		tx.Approvals = []daruma.Approval{{ID: "ap", Run: "r", Tool: "refund", Args: `{"amount":1}`, Hash: daruma.DigestOf(nil), Expires: clock}}
		tx.Blobs = []daruma.Blob{{Digest: daruma.DigestOf(content), Bytes: content}}
		tx.Spends = []daruma.Spend{{Budget: "b", Limit: 10, Grant: "g", Amount: 7}}
		j.commit(tx)
		j.post("r", "t", "1")
		j.post("early", "t", "1")
		want := j.all("r")
		j.Journal = j.reopen(j.T, j.Journal)
		if got := j.all("r"); len(got) != len(want) || string(got[0].Payload) != string(want[0].Payload) {
			j.Errorf("events: got %+v, want %+v", got, want)
		}
		if open, err := j.Approvals(j.Context(), "r"); err != nil || len(open) != 1 || open[0] != tx.Approvals[0] {
			j.Errorf("approvals: %+v, %v", open, err)
		}
		if b, err := j.Blob(j.Context(), "", daruma.DigestOf(content)); err != nil || string(b) != "content" {
			j.Errorf("blob: %q, %v", b, err)
		}
		if j.post("r", "t", "1") || j.post("early", "t", "1") {
			j.Error("a post is fresh again")
		}
		j.refuse(daruma.Tx{Keys: tx.Keys}, daruma.KindExists)
		j.refuse(daruma.Tx{Spends: []daruma.Spend{{Budget: "b", Limit: 10, Grant: "h", Amount: 4}}}, daruma.KindExhausted)
		got := j.claim("b", clock)
		if len(got.Runs) != 1 || len(got.Runs[0].Posts) != 1 || got.Runs[0].Posts[0].Key != "1" {
			j.Errorf("claims: %+v", got)
		}
	}},
	{"a folded post stays folded", func(j *journal) {
		j.commit(birth("r", "a"))
		j.post("r", "t", "1")
		tx := step("r", 1, 1, daruma.KindReceived)
		tx.Folded = []daruma.PostID{{Topic: "t", Key: "1"}}
		j.commit(tx)
		j.Journal = j.reopen(j.T, j.Journal)
		if got := j.claim("b", clock); len(got.Runs) != 1 || len(got.Runs[0].Posts) != 0 {
			j.Errorf("claims: %+v", got)
		}
	}},
}
