package darumatest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// The work that is killed. What a run does follows from its id alone, so that
// every process, and the test that checks the end, knows it.

// classes are the ways in which a call may be in doubt, each with the tool
// that stands for it.
var classes = []string{"read", "idempotent", "keyed", "payment", "transactional", "unsafe", "unsafe_verify"}

// toolOf is the tool of a class.
var toolOf = map[string]string{"read": "look", "idempotent": "set", "keyed": "book", "payment": "pay",
	"transactional": "save", "unsafe": "mail", "unsafe_verify": "fax"}

// classOf is the reverse, with the payment that needs an approval.
var classOf = map[string]string{"look": "read", "set": "idempotent", "book": "keyed", "pay": "payment", "refund": "payment",
	"save": "transactional", "mail": "unsafe", "fax": "unsafe_verify"}

// once says whether effects of a class must happen once however often they are
// asked for.
func once(class string) bool { return class != "read" && class != "idempotent" }

// specs declares the tools.
var specs = []daruma.ToolSpec{
	{Name: "look", Effect: daruma.Read},
	{Name: "set", Effect: daruma.Idempotent},
	{Name: "book", Effect: daruma.Keyed},
	{Name: "pay", Effect: daruma.Payment, Risk: daruma.RiskLow},
	{Name: "refund", Effect: daruma.Payment},
	{Name: "save", Effect: daruma.Transactional},
	{Name: "mail", Effect: daruma.Unsafe},
	{Name: "fax", Effect: daruma.Unsafe, OnDoubt: daruma.DoubtVerify, Verify: true},
	{Name: "hold", Effect: daruma.Idempotent},
}

// order is one call of the script of a run; its JSON are the arguments.
type order struct {
	ID   string `json:"id"`   // unique in the run
	Wait int    `json:"wait"` // milliseconds: the first attempt is refused with that wait; 0: it is not

	tool string
}

func (o order) args() string {
	b, _ := json.Marshal(o)
	return string(b)
}

// scriptOf returns the turns of a run: which calls its model asks for.
func scriptOf(run daruma.RunID) [][]order {
	kind, _, _ := strings.Cut(string(run), "-")
	var turns [][]order
	add := func(tools ...string) {
		var calls []order
		for i, name := range tools {
			// Letters, not digits: detectors pass over what looks like a counter.
			calls = append(calls, order{ID: "order-" + string(rune('a'+len(turns))) + string(rune('a'+i)), tool: name})
		}
		turns = append(turns, calls)
	}
	class := func(n int) string { return toolOf[classes[n%len(classes)]] }
	switch kind {
	case "long":
		for t := range 12 {
			tools := []string{class(4 * t), class(4*t + 1), class(4*t + 2), class(4*t + 3)}
			if t == 5 {
				tools = append(tools, "refund")
			}
			add(tools...)
			if t%3 == 1 {
				turns[t][1].Wait = 15
			}
		}
	case "burst":
		for range 2 {
			add(class(0), class(1), class(2), class(3), class(4), class(5), class(6))
		}
		turns[1][2].Wait = 15
	case "slow": // waits long enough to be given up meanwhile
		add("book", "look")
		turns[0][0].Wait = 2300
	case "hold":
		add("hold")
	case "drain":
		for range 3 {
			add("mail", "look", "book")
		}
	}
	return turns
}

// resultOf is what a call gives: long enough that checkpoints come.
func resultOf(name, id string) string {
	return name + " did " + id + ". " + strings.Repeat("Nothing else is worth telling. ", 30)
}

// answerOf is what a run must say at its end: a hash over every result.
func answerOf(run daruma.RunID) string {
	h := sha256.New()
	for _, turn := range scriptOf(run) {
		for _, o := range turn {
			fmt.Fprintf(h, "%s\n", resultOf(o.tool, o.ID))
		}
	}
	return "done " + hex.EncodeToString(h.Sum(nil))
}

// mind is the model: its answer follows from the conversation. Now and then it
// cannot be reached the first time a process asks.
type mind struct {
	w     *worker
	mu    sync.Mutex
	asked map[string]bool
}

func (m *mind) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) {
		run, _, _ := strings.Cut(r.Key, "/")
		turn, h := 0, sha256.New()
		for _, msg := range r.Messages {
			switch msg.Role {
			case daruma.RoleAssistant:
				turn++
			case daruma.RoleTool:
				fmt.Fprintf(h, "%s\n", msg.Text)
			}
		}
		if strings.HasPrefix(run, "hold-") && !strings.HasSuffix(run, "05") { // of tool calls only so many run at once
			m.w.say(report{K: "command", Run: daruma.RunID(run)})
			<-ctx.Done()
			yield(model.Chunk{}, ctx.Err())
			return
		}
		if turn%6 == 4 && m.first(run, turn) {
			yield(model.Chunk{}, daruma.Fail("", daruma.KindUnavailable, "not now"))
			return
		}
		script := scriptOf(daruma.RunID(run))
		last := model.Chunk{Finish: daruma.FinishStop, Usage: &daruma.Usage{Input: 7, Output: 3}, End: true}
		if turn >= len(script) {
			last.Text = "done " + hex.EncodeToString(h.Sum(nil))
			yield(last, nil)
			return
		}
		for i, o := range script[turn] {
			c := &model.CallDelta{Index: i, ID: fmt.Sprintf("c%d-%d", turn, i), Name: o.tool, Arguments: o.args()}
			if !yield(model.Chunk{Call: c}, nil) {
				return
			}
		}
		last.Finish = daruma.FinishTools
		yield(last, nil)
	}
}

// first reports whether this process asks for the turn the first time.
func (m *mind) first(run string, turn int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprint(run, "/", turn)
	was := m.asked[key]
	m.asked[key] = true
	return !was
}

// options returns the shell of a worker.
func (w *worker) options() (agent.Options, error) {
	table, err := route.NewTable(route.Target{Name: "mind", Provider: &mind{w: w, asked: map[string]bool{}}, Price: daruma.Price{Free: true},
		Breaker: route.Breaker{Rate: 1, Calls: 1 << 20}}) // many runs meet the same failure at once
	if err != nil {
		return agent.Options{}, err
	}
	var tools []tool.Tool
	for _, spec := range specs {
		t := tool.Func(spec.Name, "Does "+spec.Name+".", w.do(spec), spec)
		if spec.Verify {
			t.Verify = w.verify
		}
		tools = append(tools, t)
	}
	ms := daruma.Duration(time.Millisecond)
	ladder := daruma.DefaultLadder()
	human := daruma.Rung{Remedy: daruma.Escalate}
	ladder.Rungs[daruma.RateLimited] = []daruma.Rung{{Remedy: daruma.Retry, Max: 20, First: ms, Factor: 1, Cap: 10_000 * ms}, human}
	ladder.Rungs[daruma.ProviderUnavailable] = []daruma.Rung{{Remedy: daruma.Retry, Max: 1000, First: 10 * ms, Factor: 1}, human}
	ladder.Rungs[daruma.UnknownOutcome] = []daruma.Rung{{Remedy: daruma.Verify}, {Remedy: daruma.Retry, Max: 3, First: 5 * ms, Factor: 1}, human}
	return agent.Options{
		Journal: w.journal, Models: table, Grace: 5 * time.Second, Workers: 2000,
		Observe: w.observe, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Agents: []agent.Agent{{Name: "worker", Instructions: "Work.", Tools: tools, Ladder: ladder, Limits: daruma.Limits{
			Steps: 10_000, Time: daruma.Duration(time.Hour), Tokens: 1 << 40, Soft: 1, Claims: 1 << 20,
		}}},
	}, nil
}

// do is the function of every tool: its effect is one entry in the ledger of
// the witness.
func (w *worker) do(spec daruma.ToolSpec) func(context.Context, order) (string, error) {
	class := classOf[spec.Name]
	return func(ctx context.Context, o order) (string, error) {
		call, _ := tool.CallOf(ctx)
		if spec.Name == "hold" {
			w.say(report{K: "command", Run: call.Run})
			<-ctx.Done()
			return "", ctx.Err()
		}
		q := entry{Op: "do", Run: call.Run, Call: o.ID, Tool: spec.Name, Class: class, Key: call.Key, Command: call.Command, Approved: call.Approved, Wait: o.Wait}
		if strings.HasPrefix(string(call.Run), "drain-") {
			w.say(report{K: "command", Run: call.Run})
			if spec.Effect == daruma.Unsafe {
				<-time.After(150 * time.Millisecond)
			}
		}
		switch how := w.aim.at("in_call", class, "unsent", "sent"); how {
		case "unsent":
			w.die("in_call", class, how)
		case "sent":
			w.witness.send(q)
			w.die("in_call", class, how)
		}
		a, err := w.witness.ask(ctx, q)
		if err != nil {
			return "", tool.Doubt(err)
		}
		if a.Wait > 0 {
			return "", tool.Retry(fmt.Errorf("busy"), time.Duration(a.Wait)*time.Millisecond)
		}
		if how := w.aim.at("effect_done", class, "answered"); how != "" {
			w.die("effect_done", class, how)
		}
		return resultOf(spec.Name, o.ID), nil
	}
}

// verify asks the witness whether a call has happened.
func (w *worker) verify(ctx context.Context, call tool.Call) (daruma.Outcome, tool.Result, error) {
	var o order
	if err := json.Unmarshal(call.Args, &o); err != nil {
		return daruma.Doubtful, tool.Result{}, err
	}
	a, err := w.witness.ask(ctx, entry{Op: "truth", Run: call.Run, Call: o.ID, Tool: call.Tool})
	if err != nil {
		return daruma.Doubtful, tool.Result{}, err
	}
	if a.Count == 0 {
		return daruma.Absent, tool.Result{}, nil
	}
	return daruma.Succeeded, tool.Result{Text: resultOf(call.Tool, o.ID)}, nil
}
