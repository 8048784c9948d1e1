package agent_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// paid is a model whose calls take a second and cost what they use, at a
// billionth of a dollar for each token.
type paid struct {
	usage  daruma.Usage
	silent bool         // it does not say what was used
	turns  int          // tool calls before the answer
	calls  atomic.Int64 // begun
	ended  atomic.Int64 // of them: answered
	flying atomic.Int64
	most   atomic.Int64 // at once
	told   sync.Map     // texts of notes it was sent
}

func (p *paid) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		p.calls.Add(1)
		p.most.Store(max(p.most.Load(), p.flying.Add(1)))
		defer p.flying.Add(-1)
		for _, m := range r.Messages {
			if m.Note {
				p.told.Store(m.Text, true)
			}
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			yield(model.Chunk{}, &daruma.Failure{Kind: daruma.KindOf(ctx.Err()), Err: ctx.Err()})
			return
		}
		p.ended.Add(1)
		if n := turns(r.Messages); n < p.turns {
			if !yield(model.Chunk{Call: &model.CallDelta{ID: "c", Name: "look", Arguments: fmt.Sprintf(`{"word":"%d"}`, n)}}, nil) {
				return
			}
			usage := p.usage
			yield(model.Chunk{Finish: daruma.FinishTools, Usage: &usage, End: true}, nil)
			return
		}
		c := model.Chunk{Text: "done", Finish: daruma.FinishStop, End: true}
		if !p.silent {
			usage := p.usage
			c.Usage = &usage
		}
		yield(c, nil)
	}
}

func (p *paid) table(t testing.TB) *route.Table {
	t.Helper()
	models, err := route.NewTable(route.Target{Name: "paid", Provider: p, Price: daruma.Price{Input: 1, Output: 1}, MaxOutput: 100})
	if err != nil {
		t.Fatal(err)
	}
	return models
}

// most is more than one of these calls can cost by what is reserved for it.
const most = 1000

func (p *paid) options(t testing.TB, j daruma.Journal, b agent.Budget) agent.Options {
	b.Name = "team"
	return agent.Options{Journal: j, Models: p.table(t), Node: "a", Budgets: []agent.Budget{b}, Grace: -1,
		Agents: []agent.Agent{{Name: "helper", Models: []string{"paid"}, Budget: "team", Limits: daruma.Limits{Steps: 50}, Tools: []tool.Tool{echo("look")}}}}
}

// budget returns what the journal knows of the row of a budget.
func budget(t testing.TB, j daruma.Journal, row string) daruma.BudgetInfo {
	t.Helper()
	all, err := j.(daruma.Ledger).Budgets(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range all {
		if b.Name == row && b.Tenant == "" {
			return b
		}
	}
	return daruma.BudgetInfo{}
}

func raise(t testing.TB, j daruma.Journal, key string, amount daruma.Money) {
	t.Helper()
	if _, err := agent.RaiseBudget(context.Background(), j, "", "team", "team", key, "user:ada", amount); err != nil {
		t.Fatal(err)
	}
}

// TestBudgetIsNotPassed: 64 runs share a budget that is not enough for them.
// It is never passed, is used up to the last call it could have paid, and the
// runs that are parked finish after a raise.
func TestBudgetIsNotPassed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 2}
		const amount = 30_000
		h := open(t, p.options(t, m, agent.Budget{Amount: amount}))
		var runs []daruma.RunID
		for i := range 64 {
			runs = append(runs, h.start(agent.Start{Agent: "helper", Input: fmt.Sprint("go ", i)}))
		}
		parked := 0
		for _, id := range runs {
			r := h.wait(id)
			if r.State == daruma.Completed {
				continue
			}
			parked++
			if park := r.Parked; park == nil || park.Reason != daruma.ParkMoney || park.Budget != "team" || !strings.Contains(park.Text, "budget team") {
				t.Fatalf("%s: %+v", r.State, r)
			}
		}
		spent := daruma.Money(p.calls.Load() * 250)
		if spent > amount || spent < amount-most || parked == 0 {
			t.Errorf("%s of %d are spent by %d calls, %d runs are parked", spent, amount, p.calls.Load(), parked)
		}
		if p.most.Load() < 10 {
			t.Errorf("only %d calls at once", p.most.Load())
		}
		if b := budget(t, m, "team"); b.Spent != spent || b.Spent+b.Held > amount {
			t.Errorf("the journal says %+v, spent are %s", b, spent)
		}
		raise(t, m, "1", 64*most)
		for _, id := range runs {
			if r := h.waitFinished(id); r.State != daruma.Completed {
				t.Errorf("after the raise: %+v", r)
			}
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		if b := budget(t, m, "team"); b.Spent != 64*3*250 || b.Held != 0 || len(b.Grants) != 0 || b.Raised != 64*most {
			t.Errorf("at the end: %+v", b)
		}
	})
}

// watched is a journal that looks at every Tx, and may hold some up.
type watched struct {
	*darumatest.Memory

	commit func(txs []daruma.Tx)
}

func (w *watched) Commit(ctx context.Context, txs []daruma.Tx) []error {
	w.commit(txs)
	return w.Memory.Commit(ctx, txs)
}

func isDraw(s daruma.Spend) bool { return s.Op == daruma.SpendDraw }

// TestBudgetCostsNoSync: what a call cost is settled in the Tx of its answer,
// and no call waits for a draw once a first block is there: they are held up
// for as long as the runs take.
func TestBudgetCostsNoSync(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var draws, settled, replies, alone int
		held := make(chan struct{})
		j := &watched{Memory: darumatest.NewMemory()}
		j.commit = func(txs []daruma.Tx) {
			mu.Lock()
			drawn := false
			for i := range txs {
				tx := &txs[i]
				for _, s := range tx.Spends {
					if isDraw(s) {
						draws, drawn = draws+1, true
					}
				}
				if slices.ContainsFunc(tx.Events, func(e daruma.Event) bool { return e.Kind == daruma.KindReplied }) {
					replies++
					if len(tx.Spends) == 1 && tx.Spends[0].Op == daruma.SpendSettle && tx.Spends[0].Amount == 250 {
						settled++
					}
				}
			}
			if drawn && draws > 1 && len(txs) == 1 {
				alone++
			}
			wait := drawn && draws > 1
			mu.Unlock()
			if wait {
				<-held
			}
		}
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 3}
		h := open(t, p.options(t, j, agent.Budget{Amount: 1 << 30, Block: 10 * most}))
		first := h.start(agent.Start{Agent: "helper", Input: "go"})
		second := h.start(agent.Start{Agent: "helper", Input: "go"})
		<-time.After(time.Minute)
		close(held)
		for _, id := range []daruma.RunID{first, second} {
			if r := h.wait(id); r.State != daruma.Completed {
				t.Fatalf("%+v", r)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if replies != 8 || settled != replies {
			t.Errorf("%d of %d answers were settled in their Tx", settled, replies)
		}
		if alone > 0 {
			t.Errorf("%d draws had a commit of their own", alone)
		}
	})
}

// TestCrashWithAnOpenGrant: after a crash all that was drawn counts as spent,
// until the next start has claimed the runs; then what was settled counts, and
// what the call in flight may have cost.
func TestCrashWithAnOpenGrant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 1}
		options := p.options(t, m, agent.Budget{Amount: 100 * most, Block: 10 * most})
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		<-time.After(1500 * time.Millisecond) // in the second call
		if b := budget(t, m, "team"); b.Spent != 250 || b.Held != 10*most-250 {
			t.Fatalf("before the crash: %+v", b)
		}
		after := m.Crash()
		h.stop()
		h.ended <- <-h.ended
		if b := budget(t, after, "team"); b.Spent != 250 || b.Held != 10*most-250 {
			t.Fatalf("after the crash: %+v", b)
		}
		options.Journal = after
		h = open(t, options)
		if r := h.wait(id); r.State != daruma.Completed || r.Cost != 500 {
			t.Fatalf("%+v", r)
		}
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		// 250 and 250 for the answers; for the lost call its longest answer and
		// what it could have been told.
		b := budget(t, after, "team")
		if lost := b.Spent - 500; lost < 250 || lost > most || b.Held != 0 || len(b.Grants) > 0 {
			t.Errorf("at the end: %+v", b)
		}
	})
}

// TestStopGivesMoneyBack: a stop that cuts a call short counts what was
// reserved for it, and gives back the rest.
func TestStopGivesMoneyBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}}
		options := p.options(t, m, agent.Budget{Amount: 100 * most})
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		<-time.After(500 * time.Millisecond)
		if err := h.close(); err != nil {
			t.Fatal(err)
		}
		b := budget(t, m, "team")
		if b.Spent < 250 || b.Spent > most || b.Held != 0 || len(b.Grants) > 0 {
			t.Errorf("after the stop: %+v", b)
		}
		h = open(t, options)
		if r := h.wait(id); r.State != daruma.Completed {
			t.Fatalf("%+v", r)
		}
		h.close()
		if got := budget(t, m, "team").Spent - b.Spent; got != 250 {
			t.Errorf("%s more were spent, want 250", got)
		}
	})
}

// TestSoftEdgeOfABudget: agents are told once, and the call goes on.
func TestSoftEdgeOfABudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 5}
		h := open(t, p.options(t, m, agent.Budget{Amount: 3 * most, Soft: 0.3}))
		r := h.wait(h.start(agent.Start{Agent: "helper", Input: "go"}))
		if r.State != daruma.Completed {
			t.Fatalf("%+v", r)
		}
		notes := 0
		p.told.Range(func(text, _ any) bool {
			notes++
			if !strings.Contains(text.(string), "budget team") {
				t.Errorf("told: %s", text)
			}
			return true
		})
		if notes != 1 {
			t.Errorf("%d notes", notes)
		}
	})
}

// TestBudgetOfADay: a run that is parked goes on at midnight by itself.
func TestBudgetOfADay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{usage: daruma.Usage{Input: 500, Output: 100}, turns: 5}
		h := open(t, p.options(t, m, agent.Budget{Amount: 2400, Per: agent.PerDay}))
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		if r := h.wait(id); r.State != daruma.ParkedState || r.Parked.Until.IsZero() {
			t.Fatalf("%+v", r)
		}
		midnight := time.Date(2000, 1, 2, 0, 0, 0, 0, time.UTC)
		ctx, cancel := context.WithTimeout(context.Background(), 72*time.Hour)
		defer cancel()
		r, err := h.WaitFinished(ctx, id)
		if err != nil || r.State != daruma.Completed || time.Now().Before(midnight) {
			t.Fatalf("%v at %s: %+v", err, time.Now(), r)
		}
		h.close()
		one, two := budget(t, m, "team@2000-01-01"), budget(t, m, "team@2000-01-02")
		if one.Spent+two.Spent != 3600 || one.Spent == 0 || one.Spent > 2400 || two.Spent > 2400 || one.Held+two.Held != 0 {
			t.Errorf("%+v, %+v", one, two)
		}
	})
}

// TestMoneyOfARun: the limit of a run is kept without a budget.
func TestMoneyOfARun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 5}
		options := p.options(t, darumatest.NewMemory(), agent.Budget{})
		options.Budgets, options.Agents[0].Budget = nil, ""
		options.Agents[0].Limits = daruma.Limits{Money: 1300, Soft: 1, Steps: 50}
		h := open(t, options)
		id := h.start(agent.Start{Agent: "helper", Input: "go"})
		r := h.wait(id)
		if r.State != daruma.ParkedState || r.Parked.Reason != daruma.ParkMoney || r.Cost > 1300 || r.Cost < 500 {
			t.Fatalf("%+v", r)
		}
		if err := agent.Raise(context.Background(), options.Journal, id, "", "user:ada", daruma.Limits{Money: 3000}); err != nil {
			t.Fatal(err)
		}
		if r := h.waitFinished(id); r.State != daruma.Completed || r.Cost != 1500 {
			t.Errorf("%+v", r)
		}
	})
}

// TestUnknownUsageCounts: of an answer without its usage the reservation counts.
func TestUnknownUsageCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m := darumatest.NewMemory()
		p := &paid{silent: true}
		h := open(t, p.options(t, m, agent.Budget{Amount: 100 * most}))
		r := h.wait(h.start(agent.Start{Agent: "helper", Input: "go"}))
		h.close()
		if b := budget(t, m, "team"); b.Spent < 500 || b.Spent > most || r.Cost != b.Spent {
			t.Errorf("%+v, the run cost %s", b, r.Cost)
		}
	})
}

// TestBudgetsOverSQLite: each tenant has a budget for itself, and in the file
// stands what was spent.
func TestBudgetsOverSQLite(t *testing.T) {
	path := t.TempDir() + "/runs.db"
	j := openFile(t, path)
	p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 2}
	options := p.options(t, j, agent.Budget{Amount: 10_000 * most})
	options.Models = quick(t, p)
	h := open(t, options)
	var runs []daruma.RunID
	for i := range 20 {
		runs = append(runs, h.start(agent.Start{Agent: "helper", Input: fmt.Sprint("go ", i), Tenant: daruma.Tenant([]string{"", "acme"}[i%2])}))
	}
	for _, id := range runs {
		if r := h.wait(id); r.State != daruma.Completed {
			t.Fatalf("%+v", r)
		}
	}
	if err := h.close(); err != nil {
		t.Fatal(err)
	}
	all, err := j.Budgets(context.Background())
	if err != nil || len(all) != 2 {
		t.Fatal(all, err)
	}
	for _, b := range all {
		if b.Spent != 10*3*250 || b.Held != 0 {
			t.Errorf("%+v", b)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// quick is the table of a model that answers at once.
func quick(t testing.TB, p *paid) *route.Table {
	t.Helper()
	answer := talk(func(_ context.Context, messages []daruma.Message) (daruma.Message, error) {
		if n := turns(messages); n < p.turns {
			return call("look", fmt.Sprintf(`{"word":"%d"}`, n)), nil
		}
		return say("done"), nil
	})
	models, err := route.NewTable(route.Target{Name: "paid", Provider: answer, Price: daruma.Price{Input: 25, Output: 25}, MaxOutput: 100})
	if err != nil {
		t.Fatal(err)
	}
	return models
}

func TestBudgetsAreChecked(t *testing.T) {
	p := &paid{}
	for name, c := range map[string]struct {
		change func(*agent.Options)
		want   string
	}{
		"unknown":        {func(o *agent.Options) { o.Agents[0].Budget = "other" }, `budget "other" is not given; accepted: team`},
		"unknown of it":  {func(o *agent.Options) { o.ModelBudgets = map[string]string{"paid": "x"} }, "accepted: team"},
		"no such model":  {func(o *agent.Options) { o.ModelBudgets = map[string]string{"x": "team"} }, "accepted: paid"},
		"twice":          {func(o *agent.Options) { o.Budgets = append(o.Budgets, o.Budgets[0]) }, "twice"},
		"without amount": {func(o *agent.Options) { o.Budgets[0].Amount = 0 }, "amount"},
		"bad name":       {func(o *agent.Options) { o.Budgets[0].Name = "a@b" }, "letters"},
		"bad soft":       {func(o *agent.Options) { o.Budgets[0].Soft = 2 }, "soft"},
		"bad per":        {func(o *agent.Options) { o.Budgets[0].Per = 9 }, "day"},
		"bad block":      {func(o *agent.Options) { o.Budgets[0].Block = 1 << 40 }, "block"},
		"no ledger":      {func(o *agent.Options) { o.Journal = struct{ daruma.Journal }{o.Journal} }, "Ledger"},
		"no price": {func(o *agent.Options) {
			o.Models, _ = route.NewTable(route.Target{Name: "paid", Provider: p})
		}, "has no price"},
	} {
		o := p.options(t, darumatest.NewMemory(), agent.Budget{Amount: 100})
		c.change(&o)
		if _, err := agent.New(o); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBudgetsAcrossCrashes kills the process again and again, in calls and
// between them: what the journal counts is never less than what calls have
// cost, those whose answers were lost included, and in the end nothing is held.
func TestBudgetsAcrossCrashes(t *testing.T) {
	for _, every := range []time.Duration{100, 350, 1000, 1400} {
		t.Run(every.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				m := darumatest.NewMemory()
				p := &paid{usage: daruma.Usage{Input: 200, Output: 50}, turns: 4}
				options := p.options(t, m, agent.Budget{Amount: 10_000 * most, Block: 3 * most})
				options.Agents[0].Limits.Claims = 100
				var runs []daruma.RunID
				for i := range 30 {
					h := open(t, options)
					if i < 8 {
						runs = append(runs, h.start(agent.Start{Agent: "helper", Input: "go"}))
					}
					<-time.After(every * time.Millisecond)
					next := m.Crash()
					h.stop()
					h.ended <- <-h.ended
					m, options.Journal = next, next
				}
				h := open(t, options)
				// No call of a new run is made before what the dead held is given
				// back; the others may all be over by now.
				runs = append(runs, h.start(agent.Start{Agent: "helper", Input: "go"}))
				for _, id := range runs {
					if r := h.waitFinished(id); r.State != daruma.Completed {
						t.Errorf("%+v", r)
					}
				}
				if err := h.close(); err != nil {
					t.Fatal(err)
				}
				b := budget(t, m, "team")
				if billed := daruma.Money(250 * p.ended.Load()); b.Spent < billed || b.Spent > daruma.Money(most*p.calls.Load()) {
					t.Errorf("%s are counted, %s were billed for %d of %d calls", b.Spent, billed, p.ended.Load(), p.calls.Load())
				}
				if b.Held != 0 || len(b.Grants) > 0 {
					t.Errorf("held: %+v", b)
				}
			})
		})
	}
}
