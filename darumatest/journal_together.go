package darumatest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/daruma-run/daruma"
)

var togetherTests = []journalTest{
	{"one of many wins", func(j *journal) {
		var started, stepped, keyed, posted atomic.Int32
		j.commit(birth("r", "a"))
		j.race(32, func(i int) {
			tx := birth("new", fmt.Sprint("node", i))
			if j.Commit(j.Context(), []daruma.Tx{tx})[0] == nil {
				started.Add(1)
			}
			if j.Commit(j.Context(), []daruma.Tx{step("r", 1, 1, daruma.KindReplied)})[0] == nil {
				stepped.Add(1)
			}
			key := daruma.Tx{Keys: []daruma.KeyClaim{{Key: "k"}}}
			if j.Commit(j.Context(), []daruma.Tx{key})[0] == nil {
				keyed.Add(1)
			}
			if fresh, err := j.Post(j.Context(), message("r", "t", "k")); err != nil {
				j.Error(err)
			} else if fresh {
				posted.Add(1)
			}
		})
		for what, n := range map[string]int32{"starts": started.Load(), "steps": stepped.Load(), "keys": keyed.Load(), "posts": posted.Load()} {
			if n != 1 {
				j.Errorf("%d %s won, want 1", n, what)
			}
		}
		if n := len(j.all("r")); n != 2 {
			j.Errorf("%d events, want 2", n)
		}
	}},
	{"a run is claimed by one", func(j *journal) {
		const runs = 40
		for i := range runs {
			j.commit(birth(daruma.RunID(fmt.Sprint("r", i)), ""))
		}
		var mu sync.Mutex
		holders := map[daruma.RunID]int{}
		j.race(8, func(int) {
			claims, err := j.Claim(j.Context(), daruma.Claim{Node: "a", Now: clock, Max: 15})
			if err != nil {
				j.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			for _, r := range claims.Runs {
				holders[r.Run.ID]++
			}
		})
		for _, r := range j.claim("a", clock).Runs {
			holders[r.Run.ID]++
		}
		for id, n := range holders {
			if n != 1 || j.info(id).Epoch != 1 {
				j.Errorf("%s was claimed %d times, epoch %d", id, n, j.info(id).Epoch)
			}
		}
		if len(holders) != runs {
			j.Errorf("%d runs were claimed, want %d", len(holders), runs)
		}
	}},
	{"draws of many do not pass the limit", func(j *journal) {
		var drawn atomic.Int32
		j.race(32, func(i int) {
			tx := daruma.Tx{Spends: []daruma.Spend{{Budget: "b", Limit: 10, Grant: fmt.Sprint("g", i), Amount: 1}}}
			if err := j.Commit(j.Context(), []daruma.Tx{tx})[0]; err == nil {
				drawn.Add(1)
			} else if daruma.KindOf(err) != daruma.KindExhausted {
				j.Error(err)
			}
		})
		if drawn.Load() != 10 {
			j.Errorf("%d draws, want 10", drawn.Load())
		}
	}},
	{"64 callers at once", func(j *journal) {
		const callers, steps = 64, 10
		j.race(callers, func(i int) {
			id := daruma.RunID(fmt.Sprint("r", i))
			if err := j.Commit(j.Context(), []daruma.Tx{birth(id, "a")})[0]; err != nil {
				j.Error(err)
				return
			}
			for head := int64(1); head <= steps; head++ {
				verdicts := j.Commit(j.Context(), []daruma.Tx{
					step(id, head, 1, daruma.KindReplied),
					step(id, head, 1, daruma.KindReplied), // the same again must lose
				})
				if verdicts[0] != nil || daruma.KindOf(verdicts[1]) != daruma.KindConflict {
					j.Errorf("%s at %d: %v", id, head, verdicts)
					return
				}
			}
		})
		for i := range callers {
			id := daruma.RunID(fmt.Sprint("r", i))
			events := j.all(id)
			if len(events) != steps+1 || j.info(id).Head != steps+1 {
				j.Errorf("%s has %d events and head %d, want %d", id, len(events), j.info(id).Head, steps+1)
			}
		}
	}},
}

// race runs f n times at once and waits for all.
func (j *journal) race(n int, f func(i int)) {
	var wg sync.WaitGroup
	gate := make(chan struct{})
	for i := range n {
		wg.Go(func() { <-gate; f(i) })
	}
	close(gate)
	wg.Wait()
}
