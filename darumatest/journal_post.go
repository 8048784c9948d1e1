package darumatest

import (
	"slices"
	"time"

	"github.com/daruma-run/daruma"
)

var postTests = []journalTest{
	{"twice is once", func(j *journal) {
		j.commit(birth("r", "a"))
		if !j.post("r", "t", "k") || j.post("r", "t", "k") {
			j.Error("want fresh, then not")
		}
		if !j.post("r", "t", "other") || !j.post("r", "other", "k") {
			j.Error("other keys and topics are other posts")
		}
		if got := j.claim("a", clock).Posts; len(got) != 3 {
			j.Errorf("%d posts, want 3", len(got))
		}
	}},
	{"the holder gets posts until they are folded, oldest first", func(j *journal) {
		j.commit(birth("r", "a"))
		j.woken()
		for _, k := range []string{"3", "1", "2"} {
			j.post("r", "t", k)
		}
		if !j.woken() {
			j.Error("a post did not wake")
		}
		got := j.claim("a", clock)
		if len(got.Runs) != 0 || len(got.Posts) != 3 || got.Posts[0].Key != "3" || got.Posts[1].Key != "1" || got.Posts[2].Key != "2" {
			j.Fatalf("claims: %+v", got)
		}
		want := message("r", "t", "3")
		if p := got.Posts[0]; string(p.Payload) != string(want.Payload) || p.By != want.By || !p.Time.Equal(want.Time) || p.Run != "r" {
			j.Errorf("post: got %+v, want %+v", p, want)
		}
		tx := step("r", 1, 1, daruma.KindReceived)
		tx.Folded = []daruma.PostID{{Topic: "t", Key: "1"}}
		j.commit(tx)
		if got := j.claim("a", clock).Posts; len(got) != 2 || got[0].Key != "3" || got[1].Key != "2" {
			j.Errorf("posts: %+v", got)
		}
		if j.post("r", "t", "1") {
			j.Error("a folded post is fresh again")
		}
	}},
	{"a post is folded once", func(j *journal) {
		j.commit(birth("r", "a"))
		j.post("r", "t", "k")
		tx := step("r", 1, 1, daruma.KindReceived)
		tx.Folded = []daruma.PostID{{Topic: "t", Key: "k"}}
		j.commit(tx)
		tx.Head = 2
		if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; err == nil {
			j.Error("folded twice")
		}
		tx.Folded[0].Key = "none"
		if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; err == nil {
			j.Error("folded a post that does not exist")
		}
	}},
	{"a Tx posts to other runs", func(j *journal) {
		j.commit(birth("to", "a"))
		j.commit(birth("from", "a"))
		j.commit(birth("over", "a"))
		end := step("over", 1, 1, daruma.KindFinished)
		end.State, end.Release = daruma.Completed, true
		j.commit(end)
		j.woken()
		tx := step("from", 1, 1, daruma.KindTurnEnded)
		tx.Posts = []daruma.Post{message("to", "child", "k"), message("later", "child", "k"), message("over", "child", "k")}
		j.commit(tx)
		if !j.woken() {
			j.Error("a Tx with posts did not wake")
		}
		got := j.claim("a", clock).Posts
		want := message("to", "child", "k")
		if len(got) != 1 || got[0].Run != "to" || got[0].By != want.By || string(got[0].Payload) != string(want.Payload) || !got[0].Time.Equal(want.Time) {
			j.Errorf("posts: %+v", got)
		}
		if j.post("to", "child", "k") {
			j.Error("posted by a Tx and fresh again")
		}
		tx.Head, tx.Events = 2, step("from", 2, 1, daruma.KindTurnEnded).Events
		j.commit(tx)
		if got := j.claim("a", clock).Posts; len(got) != 1 {
			j.Errorf("told twice: %+v", got)
		}
		j.commit(birth("later", "a"))
		if got := j.claim("a", clock).Posts; len(got) != 2 {
			j.Errorf("posts after the run began: %+v", got)
		}
	}},
	{"a Tx that is refused posts nothing", func(j *journal) {
		j.commit(birth("to", "a"))
		j.commit(birth("from", "a"))
		tx := step("from", 7, 1, daruma.KindTurnEnded)
		tx.Posts = []daruma.Post{message("to", "child", "k")}
		if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindConflict {
			j.Errorf("a stale Tx: %v", err)
		}
		tx = step("from", 1, 1, daruma.KindTurnEnded)
		tx.Posts = []daruma.Post{message("to", "child", "k")}
		tx.Folded = []daruma.PostID{{Topic: "t", Key: "no such post"}}
		if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("a Tx that folds what is not there: %v", err)
		}
		for _, bad := range []daruma.Post{message("from", "child", "k"), message("to", "", "k"), {Run: "to", Topic: "t", Key: "k", By: "x"}} {
			tx = step("from", 1, 1, daruma.KindTurnEnded)
			tx.Posts = []daruma.Post{bad}
			if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; daruma.KindOf(err) != daruma.KindInvalid {
				j.Errorf("%+v: %v", bad, err)
			}
		}
		if got := j.claim("a", clock).Posts; len(got) != 0 {
			j.Errorf("posts: %+v", got)
		}
	}},
	{"a post may come before the run", func(j *journal) {
		if !j.post("r", "t", "k") {
			j.Error("not fresh")
		}
		if got := j.claim("a", clock); len(got.Runs) != 0 || len(got.Posts) != 0 {
			j.Fatalf("claims: %+v", got)
		}
		j.commit(birth("r", ""))
		got := j.claim("a", clock)
		if len(got.Runs) != 1 || len(got.Runs[0].Posts) != 1 || len(got.Posts) != 0 {
			j.Errorf("claims: %+v", got)
		}
		j.post("held", "t", "k")
		j.commit(birth("held", "a"))
		if got := j.claim("a", clock).Posts; !slices.ContainsFunc(got, func(p daruma.Post) bool { return p.Run == "held" }) {
			j.Errorf("posts: %+v", got)
		}
	}},
	{"a post wakes a run that rests", func(j *journal) {
		for _, id := range []daruma.RunID{"parked", "waiting", "other"} {
			j.commit(birth(id, "a"))
			state := daruma.ParkedState
			if id == "waiting" {
				state = daruma.Waiting
			}
			j.commit(rest(id, 1, 1, state, time.Time{}))
		}
		j.post("parked", "approval", "1")
		j.post("waiting", "cancel", "1")
		got := j.claim("b", clock)
		names := ids(got)
		slices.Sort(names)
		if !slices.Equal(names, []daruma.RunID{"parked", "waiting"}) {
			j.Fatalf("claimed %v", names)
		}
		for _, r := range got.Runs {
			if len(r.Posts) != 1 || r.Run.State != daruma.Running || r.Run.Epoch != 2 {
				j.Errorf("claimed: %+v", r)
			}
		}
	}},
	{"a post that came while the run was being released is not lost", func(j *journal) {
		j.commit(birth("r", "a"))
		j.post("r", "t", "k")
		j.woken()
		j.commit(rest("r", 1, 1, daruma.ParkedState, time.Time{}))
		if !j.woken() {
			j.Error("the release did not wake")
		}
		if got := ids(j.claim("a", clock)); !slices.Equal(got, []daruma.RunID{"r"}) {
			j.Errorf("claimed %v", got)
		}
	}},
	{"a run that is over takes no post", func(j *journal) {
		j.commit(birth("r", "a"))
		j.post("r", "t", "before")
		j.commit(end("r", 1, 1))
		if _, err := j.Post(j.Context(), message("r", "t", "after")); daruma.KindOf(err) != daruma.KindConflict {
			j.Errorf("after the end: %v", err)
		}
		if fresh, err := j.Post(j.Context(), message("r", "t", "before")); err != nil || fresh {
			j.Errorf("the same again: %v, %v", fresh, err)
		}
		if got := j.claim("b", clock); len(got.Runs) != 0 || len(got.Posts) != 0 {
			j.Errorf("claims: %+v", got)
		}
	}},
	{"bad posts are refused", func(j *journal) {
		for name, p := range map[string]daruma.Post{
			"no run":   message("", "t", "k"),
			"no topic": message("r", "", "k"),
			"no key":   message("r", "t", ""),
			"no JSON":  {Run: "r", Topic: "t", Key: "k", Payload: []byte("{")},
		} {
			if _, err := j.Post(j.Context(), p); daruma.KindOf(err) != daruma.KindInvalid {
				j.Errorf("%s: got %v, want invalid", name, err)
			}
		}
	}},
	{"another tenant's post does not reach the run", func(j *journal) {
		j.commit(birth("r", "a"))
		p := message("r", "t", "k")
		p.Tenant = "other"
		if _, err := j.Post(j.Context(), p); daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("got %v", err)
		}
		if got := j.claim("a", clock).Posts; len(got) != 0 {
			j.Errorf("posts: %+v", got)
		}
	}},
}
