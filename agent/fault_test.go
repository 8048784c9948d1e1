package agent_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/tool"
)

// flaky is a journal of which some commits go wrong.
type flaky struct {
	*darumatest.Memory
	n     atomic.Int32
	fault func(n int32, tx *daruma.Tx) (before, after error)
}

func (f *flaky) Commit(ctx context.Context, txs []daruma.Tx) []error {
	errs := make([]error, len(txs))
	for i := range txs {
		before, after := f.fault(f.n.Add(1), &txs[i])
		if errs[i] = before; before != nil {
			continue
		}
		if errs[i] = f.Memory.Commit(ctx, txs[i:i+1])[0]; errs[i] == nil {
			errs[i] = after
		}
	}
	return errs
}

// TestEveryCommitGoesWrongOnce lets the n-th commit fail, for every n, before
// or after it became durable: the run ends, and no keyed effect has two keys.
func TestEveryCommitGoesWrongOnce(t *testing.T) {
	unsure := daruma.Fail("test", daruma.KindUnavailable, "the connection broke")
	for _, after := range []bool{false, true} {
		for n := int32(2); n < 12; n++ {
			bubble(t, func(t *testing.T) {
				var l ledger
				act := tool.Func("act", "Acts.", func(ctx context.Context, in word) (string, error) {
					l.add(ctx)
					return "acted", nil
				}, daruma.ToolSpec{Effect: daruma.Keyed, Risk: daruma.RiskLow})
				j := &flaky{Memory: darumatest.NewMemory(), fault: func(i int32, _ *daruma.Tx) (error, error) {
					switch {
					case i == n && after:
						return nil, unsure
					case i == n:
						return unsure, nil
					}
					return nil, nil
				}}
				h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{act, echo("look")}}},
					Models: table(t, script(call("act", `{"word":"x"}`, "look", `{"word":"y"}`), call("look", `{"word":"z"}`)))})
				id := h.start(agent.Start{Agent: "helper", Input: "go"})
				r := h.waitFinished(id)
				if r.State != daruma.Completed || len(l.keys) != 1 {
					t.Errorf("commit %d wrong, after: %v: %s, keys %v, falls %+v", n, after, r.State, l.keys, r.Falls)
				}
				if err := h.close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestJournalDownStopsTheShell(t *testing.T) {
	bubble(t, func(t *testing.T) {
		down := daruma.Fail("test", daruma.KindDown, "a sync failed")
		j := &flaky{Memory: darumatest.NewMemory(), fault: func(n int32, _ *daruma.Tx) (error, error) {
			if n > 2 {
				return down, nil
			}
			return nil, nil
		}}
		h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper", Tools: []tool.Tool{echo("look")}}},
			Models: table(t, script(call("look", `{"word":"x"}`)))})
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		if err := <-h.ended; daruma.KindOf(err) != daruma.KindDown {
			t.Errorf("Run returned %v", err)
		} else {
			h.ended <- err
		}
		if _, err := h.Wait(context.Background(), id); daruma.KindOf(err) != daruma.KindCancelled {
			t.Errorf("Wait returned %v", err)
		}
	})
}

// TestFencedRunIsDropped has another node take a run away: the shell stops
// working on it and touches the others no less.
func TestFencedRunIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fenced := daruma.Fail("test", daruma.KindFenced, "the epoch is not yours")
		var victim daruma.RunID
		j := &flaky{Memory: darumatest.NewMemory(), fault: func(_ int32, tx *daruma.Tx) (error, error) {
			if tx.Run == victim && tx.Head > 0 {
				return fenced, nil
			}
			return nil, nil
		}}
		h := open(t, agent.Options{Journal: j, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
				<-time.After(time.Second)
				return say("hello"), nil
			}))})
		victim = "victim"
		h.start(agent.Start{ID: victim, Agent: "helper", Input: "go"})
		other := h.start(agent.Start{Agent: "helper", Input: "go"})
		if r := h.waitFinished(other); r.State != daruma.Completed {
			t.Errorf("the other run is %s", r.State)
		}
		synctest.Wait()
		if got := kinds(t, j, victim); len(got) != 1 {
			t.Errorf("events of the lost run: %v", got)
		}
	})
}

func TestWorkersBoundWhatRunsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var at, most atomic.Int32
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Workers: 3, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
				n := at.Add(1)
				defer at.Add(-1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				<-time.After(time.Second)
				return say("hello"), nil
			}))})
		var runs []daruma.RunID
		for range 10 {
			runs = append(runs, h.start(agent.Start{Agent: "helper", Input: "go"}))
		}
		for _, id := range runs {
			h.waitFinished(id)
		}
		if most.Load() != 3 {
			t.Errorf("%d at once, want 3", most.Load())
		}
	})
}

// TestStuckCallDoesNotHoldTheStop has a model ignore its context.
func TestStuckCallDoesNotHoldTheStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		h := open(t, agent.Options{Journal: darumatest.NewMemory(), Grace: -1, Agents: []agent.Agent{{Name: "helper"}},
			Models: table(t, talk(func(context.Context, []daruma.Message) (daruma.Message, error) {
				<-gate
				return say("late"), nil
			}))})
		h.start(agent.Start{Agent: "helper", Input: "go"})
		synctest.Wait()
		began := time.Now()
		if err := h.close(); daruma.KindOf(err) != daruma.KindTimeout {
			t.Errorf("Run returned %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("stopping took %s", took)
		}
		close(gate)
		synctest.Wait()
	})
}
