package darumatest

import (
	"context"
	"fmt"
	"slices"

	"github.com/daruma-run/daruma"
)

var readTests = []journalTest{
	{"events after a seq, in order", func(j *journal) {
		j.commit(birth("r", "a"))
		const n = 700 // more than anybody reads at once
		kinds := slices.Repeat([]daruma.EventKind{daruma.KindReplied}, n-1)
		j.commit(step("r", 1, 1, kinds...))
		for _, after := range []int64{0, 1, 127, 128, 129, n - 1, n, n + 5} {
			want := after
			for e, err := range j.Events(j.Context(), "r", after) {
				want++
				if err != nil || e.Seq != want {
					j.Fatalf("after %d: seq %d, %v; want seq %d", after, e.Seq, err, want)
				}
			}
			if want != max(n, after) {
				j.Errorf("after %d: ended at %d", after, want)
			}
		}
		for e, err := range j.Events(j.Context(), "r", 0) {
			if err != nil || e.Seq > 3 {
				j.Fatal(e, err)
			}
			if e.Seq == 3 {
				break
			}
		}
	}},
	{"reads may be nested", func(j *journal) {
		j.commit(birth("r", "a"))
		j.commit(step("r", 1, 1, daruma.KindReplied))
		var nest func(depth int)
		nest = func(depth int) {
			for _, err := range j.Events(j.Context(), "r", 0) {
				if err != nil {
					j.Fatal(err)
				}
				if depth > 0 {
					nest(depth - 1)
				}
			}
		}
		nest(5)
	}},
	{"what is not there", func(j *journal) {
		if _, err := j.Run(j.Context(), "none"); daruma.KindOf(err) != daruma.KindNotFound {
			j.Errorf("run: %v", err)
		}
		n := 0
		for _, err := range j.Events(j.Context(), "none", 0) {
			n++
			if daruma.KindOf(err) != daruma.KindNotFound {
				j.Errorf("events: %v", err)
			}
		}
		if n != 1 {
			j.Errorf("%d errors, want 1", n)
		}
		if got, err := j.Runs(j.Context(), daruma.Query{}); err != nil || len(got) != 0 {
			j.Errorf("runs: %v, %v", got, err)
		}
	}},
	{"a context that is over", func(j *journal) {
		j.commit(birth("r", "a"))
		ctx, cancel := context.WithCancel(j.Context())
		cancel()
		if _, err := j.Run(ctx, "r"); daruma.KindOf(err) != daruma.KindCancelled {
			j.Errorf("run: %v", err)
		}
		for _, err := range j.Events(ctx, "r", 0) {
			if daruma.KindOf(err) != daruma.KindCancelled {
				j.Errorf("events: %v", err)
			}
		}
	}},
	{"lists", func(j *journal) {
		for i := range 120 {
			tx := birth(daruma.RunID(fmt.Sprintf("r%03d", 200-i)), "a") // ids that sort the other way
			tx.Name = []string{"even", "odd"}[i%2]
			if i%3 == 0 {
				tx.Tenant = "acme"
			}
			j.commit(tx)
		}
		tx := end("r200", 1, 1)
		tx.Tenant = "acme"
		j.commit(tx)
		list := func(q daruma.Query) []daruma.RunInfo {
			got, err := j.Runs(j.Context(), q)
			if err != nil {
				j.Fatalf("%+v: %v", q, err)
			}
			return got
		}
		first := list(daruma.Query{})
		if len(first) != 100 || first[0].ID != "r081" || first[99].ID != "r180" {
			j.Fatalf("%d runs, from %s", len(first), first[0].ID)
		}
		rest := list(daruma.Query{Before: first[99].ID})
		if len(rest) != 20 || rest[0].ID != "r181" || rest[19].ID != "r200" {
			j.Errorf("%d runs in the second page", len(rest))
		}
		if got := list(daruma.Query{Name: "odd", Limit: 7}); len(got) != 7 || got[0].ID != "r081" || got[1].ID != "r083" {
			j.Errorf("odd: %+v", got)
		}
		if got := list(daruma.Query{Tenant: "acme"}); len(got) != 40 {
			j.Errorf("%d runs of the tenant", len(got))
		}
		j.commit(birth("held", "b"))
		if got := list(daruma.Query{Node: "b"}); len(got) != 1 || got[0] != j.info("held") {
			j.Errorf("held by b: %+v", got)
		}
		if got := list(daruma.Query{Node: "a", Before: first[99].ID}); len(got) != 19 { // r200 is over, and given up
			j.Errorf("%d runs of the second page are held by a", len(got))
		}
		all, none := list(daruma.Query{Type: j.info("r200").Type, Limit: 200}), list(daruma.Query{Type: "other"})
		if len(all) != len(list(daruma.Query{Limit: 200})) || len(none) != 0 {
			j.Errorf("%d runs of the type, %d of another", len(all), len(none))
		}
		got := list(daruma.Query{States: []daruma.RunState{daruma.Completed, daruma.Dead}})
		if len(got) != 1 || got[0] != j.info("r200") {
			j.Errorf("completed: %+v", got)
		}
	}},
}
