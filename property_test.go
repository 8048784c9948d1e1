package daruma_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
)

var (
	histories = flag.Int("histories", 500, "how many random histories TestHistories plays; 10000 for a long run")
	history   = flag.Uint64("history", 0, "play only the history of this number, and tell it")
)

// TestHistories lets a random world answer random runs and checks what must
// hold whatever happens. A history is known by its number: -history N plays
// it again and writes it down.
func TestHistories(t *testing.T) {
	total := map[string]int{}
	play := func(seed uint64) {
		w := newWorld(t, seed)
		defer func() {
			if r := recover(); r != nil || t.Failed() || *history > 0 {
				t.Logf("history %d:\n%s", seed, w.told())
				if r != nil {
					panic(r)
				}
			}
		}()
		w.play()
		w.rest()
		w.checkpoints()
		w.replay()
		for k, n := range w.hits {
			total[k] += n
		}
	}
	if *history > 0 {
		play(*history)
		return
	}
	for seed := range uint64(*histories) {
		play(seed + 1)
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", total)
	for _, must := range []string{"checkpoint", "retry", "reflect", "switch_model", "switch_tool", "degrade", "escalate", "verify", "wrap_up",
		"park", "abort", "compact", "approval", "replayed", "repair", "completed", "degraded", "failed", "cancelled", "in doubt", "late", "contradiction", "unknown", "confirmed", "pending", "fork", "from the past", "doubt of the past", "undone", "undoes", "child completed", "child degraded", "child cancelled", "child failed"} {
		if total[must] == 0 {
			t.Errorf("not one history hit %q", must)
		}
	}
}

// A world is a shell whose answers are drawn at random, and the ledger of what
// it has been asked to do.
type world struct {
	*shell

	t    testing.TB
	dice *rand.Rand
	bad  bool // everything fails
	hits map[string]int

	work      map[daruma.CommandID]string // what each id stood for
	keys      map[string]string           // key of turn, call, tool and arguments
	calls     map[string]string           // the reverse
	doubtful  map[string]bool             // keys of calls that may have happened
	done      map[string]bool             // keys of calls that did
	flying    map[string]daruma.ToolCalled
	did       map[string]bool // tool and arguments of writes that were done
	approved  map[string]bool // tool, arguments and turn that got a yes in time
	open      []daruma.Approval
	thought   map[daruma.SignalType]int
	said      map[string][]daruma.Outcome // what was said from outside, by key
	knew      []daruma.EffectRecord
	wishes    map[string]string // what each key does
	undid     int64             // when what was undone last had been done
	children  map[string]child  // that work, by the key of their call
	past      map[string]bool   // what the runs it was forked from have written, or may have
	decisions int
	question  string // the last one answered
}

func newWorld(t testing.TB, seed uint64) *world {
	w := &world{shell: newShell(t, "run_random"), t: t, dice: rand.New(rand.NewPCG(seed, 1)), hits: map[string]int{}, work: map[daruma.CommandID]string{}, keys: map[string]string{},
		calls: map[string]string{}, doubtful: map[string]bool{}, done: map[string]bool{}, flying: map[string]daruma.ToolCalled{},
		did: map[string]bool{}, approved: map[string]bool{}, thought: map[daruma.SignalType]int{}, said: map[string][]daruma.Outcome{}, wishes: map[string]string{}, children: map[string]child{}}
	w.strict, w.tick = false, 7*time.Millisecond
	w.seen = w.note
	w.bad = w.one(8) == 0
	st := daruma.Started{Agent: "a", Nonce: "n", Input: daruma.Message{Role: daruma.RoleUser, Text: "do it"},
		Models: []string{"m0", "m1", "m2"}[:1+w.one(3)]}
	for i := range 1 + w.one(5) {
		spec := daruma.ToolSpec{Name: fmt.Sprintf("t%d", i), Effect: daruma.Effect(w.one(6)), OnDoubt: daruma.OnDoubt(w.one(4)), Approve: w.one(6) == 0}
		if w.one(4) == 0 {
			spec.Effect = daruma.Unsafe
		}
		spec.Verify = spec.OnDoubt == daruma.DoubtVerify
		if by := w.one(5); by < i && w.one(2) == 0 && st.Tools[by].Effect != daruma.Read {
			spec.Compensate = &daruma.Compensation{Tool: fmt.Sprintf("t%d", by), Args: []json.RawMessage{nil, []byte(`{"of":"${key}"}`), []byte(`{"x":"${args.a}"}`)}[w.one(3)]}
		}
		spec.ReplaceWrite = w.one(3) == 0
		spec.Repeat = daruma.Repeat(max(0, w.one(6)-2))
		if w.one(6) == 0 {
			spec.Agent, spec.Effect = "other", daruma.Keyed
		}
		if w.one(2) == 0 {
			spec.Capability = "c"
		}
		st.Tools = append(st.Tools, spec)
	}
	st.Limits = daruma.Limits{Steps: 1 + w.one(40), Parallel: 1 + w.one(4), Reflections: 1 + w.one(4), Claims: 2 + w.one(4)}
	if l := (daruma.Lowered{Why: "said so"}); w.one(4) == 0 {
		l.Target, l.Tools = st.Models[w.one(len(st.Models))], map[string]string{}
		for _, spec := range st.Tools {
			if names := daruma.StandIns(st.Tools, spec.Name); len(names) > 0 && w.one(2) == 0 {
				l.Tools[spec.Name] = names[0]
			}
		}
		st.Lowered = &l
	}
	if w.one(3) == 0 {
		st.Compact, st.Windows = daruma.CompactResults, map[string]int64{"m0": int64(50 + w.one(2000)), "m1": int64(50 + w.one(2000))}
	}
	if w.one(4) == 0 {
		st.Ladder = daruma.DefaultLadder().Without(daruma.Remedies()[w.one(12)])
	}
	w.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", st))
	return w
}

func (w *world) one(n int) int { return w.dice.IntN(n) }

// play answers and disturbs until the run is over or the world is tired.
func (w *world) play() {
	for range 10 + w.one(90) {
		commands := w.look()
		if w.run.State().Finished() {
			return
		}
		switch k := w.one(12); {
		case k < 8 && len(commands) > 0:
			w.answer(commands[w.one(len(commands))], w.bad)
		case k == 8:
			w.crash()
		case k < 8 || k == 10 && len(w.children) > 0:
			w.childEnds()
		case k == 9:
			w.now = w.now.Add(time.Duration(w.one(20_000)) * time.Millisecond)
		case k == 10 && w.one(8) == 0:
			w.fork()
		default:
			w.post()
		}
	}
}

// told lists the events of the history.
func (w *world) told() string {
	var b strings.Builder
	for _, e := range w.events {
		fmt.Fprintf(&b, "%d %s %s %.300s\n", e.Seq, e.Time.Format("15:04:05.000"), e.Kind, e.Payload)
	}
	return b.String()
}

// look comes to rest and checks the ledger against what is asked now.
func (w *world) look() []daruma.Command {
	commands := w.settle()
	for _, c := range commands {
		work := fmt.Sprint(c.Op, c.Target, c.Of, c.Call, c.Tool, c.Args, c.Key, c.Attempt, c.Until)
		if before, ok := w.work[c.ID]; ok && before != work {
			w.t.Fatalf("id %s stood for %s and now for %s", c.ID, before, work)
		}
		w.work[c.ID] = work
		if c.Op == daruma.OpCallTool {
			w.keyed(c.Key, fmt.Sprint(w.run.Turn(), c.Call, c.Tool, c.Args))
			if w.done[c.Key] {
				w.t.Fatalf("call %s is asked for again although it was done", c.ID)
			}
		}
	}
	l := w.run.Started().Limits
	if w.run.Steps() > l.Steps {
		w.t.Fatalf("%d steps of %d", w.run.Steps(), l.Steps)
	}
	for _, f := range w.run.Falls() {
		if len(f.Moves) > 40 {
			w.t.Fatalf("fall %s of %s took %d moves", f.Type, f.Subject, len(f.Moves))
		}
	}
	return commands
}

func (w *world) keyed(key, call string) {
	if before, ok := w.calls[key]; ok && before != call {
		w.t.Fatalf("key %s stands for %s and for %s", key, before, call)
	}
	if before, ok := w.keys[call]; ok && before != key {
		w.t.Fatalf("call %s has the keys %s and %s", call, before, key)
	}
	w.calls[key], w.keys[call] = call, key
}

// note watches every event.
func (w *world) note(e daruma.Event) {
	w.effects(e)
	switch e.Kind {
	case daruma.KindCheckpoint:
		w.hits["checkpoint"]++
	case daruma.KindMove:
		m := decode[daruma.Move](w.t, e)
		w.hits[m.Remedy.String()]++
		if strings.HasPrefix(m.Subject, "effect:") {
			w.hits["contradiction"]++
		}
		if m.Remedy == daruma.Reflect {
			w.thought[m.Signal]++
			w.thought[0]++
			l := w.run.Started().Limits
			if w.thought[m.Signal] > l.ReflectionsPerSignal || w.thought[0] > l.Reflections {
				w.t.Fatalf("reflected too often: %v of %d, %d per signal", w.thought, l.Reflections, l.ReflectionsPerSignal)
			}
		}
	case daruma.KindApproval:
		w.hits["approval"]++
		w.open = append(w.open, decode[daruma.Approval](w.t, e))
	case daruma.KindToolReplied:
		w.fromThePast(e)
		if p := decode[daruma.ToolReplied](w.t, e); p.Of != "" {
			w.hits["replayed"]++
			if !w.did[w.wish(p.Tool, p.Call)] {
				w.t.Fatalf("%s is answered from the record, and was never done", p.Command)
			}
		}
	case daruma.KindToolCalled:
		w.called(decode[daruma.ToolCalled](w.t, e))
	case daruma.KindFinished:
		w.hits[decode[daruma.Finished](w.t, e).State.String()]++
	}
}

// called checks that a call may go out.
func (w *world) called(c daruma.ToolCalled) {
	var spec daruma.ToolSpec
	for _, t := range w.run.Started().Tools {
		if t.Name == c.Tool {
			spec = t
		}
	}
	switch {
	case w.done[c.Key]:
		w.t.Fatalf("%s goes out although it was done", c.Command)
	case w.doubtful[c.Key] && spec.Effect == daruma.Unsafe && spec.OnDoubt != daruma.DoubtRetry:
		w.t.Fatalf("%s is unsafe, in doubt, and goes out again", c.Command)
	case (spec.Approve || spec.Danger() >= daruma.RiskHigh) && !w.approved[w.action(c.Tool, c.Call)]:
		w.t.Fatalf("%s goes out without a yes", c.Command)
	case c.Undoes == "" && c.Attempt == 1 && w.did[w.wish(c.Tool, c.Call)] && !w.approved[w.action(c.Tool, c.Call)] &&
		spec.Repeats() != daruma.RepeatAllow && (spec.Repeat != daruma.RepeatAuto || spec.Effect != daruma.Unsafe):
		w.t.Fatalf("%s was done before, and is done again", c.Command)
	}
	w.forked(c, spec)
	w.undoes(c)
	if _, out := w.flying[c.Key]; out {
		w.t.Fatalf("%s goes out while it is out", c.Command)
	}
	w.flying[c.Key] = c
}

// undoes checks that a call which undoes another comes in its turn: the last
// that was done is undone first, one at a time, and none twice.
func (w *world) undoes(c daruma.ToolCalled) {
	if c.Undoes == "" {
		return
	}
	w.hits["undoes"]++
	if len(w.flying) > 0 {
		w.t.Fatalf("%s goes out beside %v", c.Command, w.flying)
	}
	var of daruma.EffectRecord
	for _, e := range w.run.Effects() {
		if e.Key == c.Undoes {
			of = e
		}
	}
	if of.State != daruma.EffectConfirmed {
		w.t.Fatalf("%s undoes %s, which is %s", c.Command, of.Step, of.State)
	}
	if w.undid != 0 && of.Done > w.undid {
		w.t.Fatalf("%s undoes %s, which was done after one undone before", c.Command, of.Step)
	}
	w.undid = of.Done
}

func (w *world) action(tool string, call int) string {
	return fmt.Sprint(w.run.Turn(), call, w.wish(tool, call))
}

// wish is what a call does, in whichever turn.
func (w *world) wish(tool string, call int) string {
	args := cmp.Or(w.run.Results()[call].Args, "{}")
	if b, err := daruma.Canonical([]byte(args)); err == nil {
		args = string(b)
	}
	return tool + args
}

func (w *world) crash() {
	for key := range w.flying {
		w.doubtful[key] = true
		w.hits["in doubt"]++
	}
	clear(w.flying)
	w.now = w.now.Add(time.Minute)
	w.commit(daruma.NewEvent(daruma.KindClaimed, "node:b", daruma.Claim{Node: "b"}))
}

var kinds = []daruma.Kind{daruma.KindUnknown, daruma.KindInvalid, daruma.KindDenied, daruma.KindRateLimited, daruma.KindQuota, daruma.KindUnavailable,
	daruma.KindTimeout, daruma.KindExhausted, daruma.KindUnauthorized, daruma.KindOverflow, daruma.KindRefused, daruma.KindBroken, daruma.KindNeedsApproval}

// answer gives one command a result.
func (w *world) answer(c daruma.Command, bad bool) {
	kind := kinds[w.one(len(kinds))]
	switch c.Op {
	case daruma.OpCallModel:
		w.now = w.now.Add(time.Duration(w.one(3000)) * time.Millisecond)
		if w.one(16) == 0 {
			w.met(c)
			return
		}
		if bad || w.one(4) == 0 {
			w.commit(daruma.NewEvent(daruma.KindModelFailed, daruma.ActorShell, daruma.ModelFailed{Command: c.ID, Target: c.Target, Kind: kind,
				Text: "broken", RetryAfter: daruma.Duration(w.one(3)) * daruma.Duration(30*time.Second)}))
			return
		}
		w.judges()
		w.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, w.replied(c, 1+w.one(4))))
	case daruma.OpWait:
		if w.now.Before(c.Until) {
			w.now = c.Until
		}
		w.commit(daruma.NewEvent(daruma.KindTimer, daruma.ActorShell, daruma.TimerFired{Command: c.ID}))
	case daruma.OpStartRun:
		delete(w.flying, c.Key)
		if w.one(6) == 0 {
			w.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, daruma.ToolReplied{Command: c.ID, Call: c.Call, Tool: c.Tool, Outcome: daruma.Failed, Kind: kind, Text: "broken"}))
			return
		}
		w.children[c.Key] = child{c.Child, *c.Share}
		w.commit(daruma.NewEvent(daruma.KindChild, daruma.ActorShell, daruma.ChildStarted{Command: c.ID, Call: c.Call, Run: c.Child}))
	case daruma.OpCallTool, daruma.OpVerify:
		p := daruma.ToolReplied{Command: c.ID, Call: c.Call, Tool: c.Tool, Text: strings.Repeat("result ", 1+w.one(3)*w.one(100)), Outcome: daruma.Outcome(w.one(4))}
		if !bad && w.one(3) > 0 {
			p.Outcome = daruma.Succeeded
		}
		if bad && p.Outcome == daruma.Succeeded {
			p.Outcome = daruma.Failed
		}
		if p.Outcome != daruma.Succeeded {
			p.Kind, p.Text = kind, "broken"
		}
		delete(w.flying, c.Key)
		switch {
		case p.Outcome == daruma.Succeeded:
			w.done[c.Key] = true
			w.did[w.wish(c.Tool, c.Call)] = true
		case p.Outcome == daruma.Absent && c.Op == daruma.OpVerify:
			delete(w.doubtful, c.Key)
		case p.Outcome == daruma.Doubtful:
			w.hits["in doubt"]++
			w.doubtful[c.Key] = true
		}
		w.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, p))
	}
}

// childEnds has a sub-run end, within its share, with a result of any kind.
func (w *world) childEnds() {
	for _, key := range slices.Sorted(maps.Keys(w.children)) {
		c := w.children[key]
		delete(w.children, key)
		w.decisions++
		end := daruma.ChildResult{Run: c.id, Key: key, State: []daruma.RunState{daruma.Completed, daruma.Degraded, daruma.Cancelled, daruma.Dead}[w.one(4)], Text: "result",
			Steps: w.one(c.share.Steps + 1), Usage: daruma.Usage{Input: int64(w.one(int(c.share.Tokens) + 1))}, Active: daruma.Duration(w.one(int(c.share.Time) + 1))}
		if end.State == daruma.Completed || end.State == daruma.Degraded {
			w.did[w.wishes[key]] = true
		}
		w.hits["child "+end.State.String()]++
		w.receive(daruma.Post{Topic: daruma.TopicChild, Key: key, By: daruma.ActorRun(c.id), Payload: payload(end)})
		return
	}
}

// child is a sub-run that works.
type child struct {
	id    daruma.RunID
	share daruma.Limits
}

// replied is an answer of the model: with calls, known and unknown, or without.
func (w *world) replied(c daruma.Command, calls int) daruma.Replied {
	p := daruma.Replied{Command: c.ID, Target: c.Target, Message: daruma.Message{Role: daruma.RoleAssistant, Text: strings.Repeat("word ", w.one(3)*500)},
		Usage: daruma.Usage{Input: int64(w.one(4000))}}
	for i := range calls - 1 {
		p.Message.Calls = append(p.Message.Calls, daruma.ToolCall{ID: strconv.Itoa(i), Name: fmt.Sprintf("t%d", w.one(5)),
			Arguments: []string{`{}`, `{"a":1}`, `{"a": 1.0}`, `nonsense`, ``}[w.one(5)]})
	}
	return p
}

// judges lets detectors find something now and then.
func (w *world) judges() {
	w.judge = nil
	for range max(0, w.one(8)-5) {
		all := daruma.SignalTypes()
		f := finding{of: []string{daruma.JudgeReply, daruma.JudgeResults}[w.one(2)]}
		f.signal = daruma.Signal{Type: all[w.one(len(all))], Severity: daruma.Severity(w.one(3)), Message: "found", Detector: "random/1",
			Subject: []string{daruma.SubjectReply, daruma.SubjectRun, daruma.CallSubject(0), daruma.CallSubject(1)}[w.one(4)]}
		if w.one(3) == 0 {
			f.of, f.signal.Type, f.signal.Subject = daruma.JudgeReply, daruma.ArgumentsInvalid, daruma.CallSubject(0)
			f.signal.Fix = []string{`{"a":1}`, `{"a":2}`, `{}`}[w.one(3)]
		}
		w.judge = append(w.judge, f)
	}
}

// post says something to the run, sensible or not.
func (w *world) post() {
	w.decisions++
	p := daruma.Post{Key: strconv.Itoa(w.decisions), By: "user:bob"}
	switch w.one(20) {
	case 0:
		p.Topic, p.Payload = daruma.TopicCancel, payload(daruma.Reason{Compensate: w.one(3) > 0})
	case 1:
		p.Topic, p.Payload = "weather", payload("rain")
		if w.one(4) > 0 {
			p.Topic, p.Payload = daruma.TopicBudget, payload(daruma.BudgetRaised{Budget: budgets[w.one(len(budgets))]})
		}
	case 18, 19:
		w.late(&p)
	case 2:
		l := w.run.Started().Limits
		p.Topic, p.Payload = daruma.TopicPolicy, payload(daruma.Policy{Limits: daruma.Limits{Steps: l.Steps + w.one(5), Tokens: l.Tokens + 1000}})
	case 3, 4, 5, 6, 7, 8, 9, 10:
		w.decide(&p)
	default:
		a := daruma.Answer{Choice: []string{daruma.AnswerRetry, daruma.AnswerHappened, daruma.AnswerAbsent, daruma.AnswerSkip, daruma.AnswerSay, daruma.AnswerAbort, "dance"}[w.one(7)]}
		if park := w.run.Parked(); park != nil {
			if w.question != "" && w.one(4) == 0 {
				a.Question = w.question // an old one, or this one
			} else if w.one(8) > 0 {
				a.Question = park.ID
			}
			if a.Question == park.ID && slices.Contains(park.Options, a.Choice) {
				w.settled(*park, a.Choice)
			}
			w.question = park.ID
		}
		p.Topic, p.Payload = daruma.TopicAnswer, payload(a)
	}
	w.receive(p)
}

// late says from outside what became of a call, true or not.
func (w *world) late(p *daruma.Post) {
	effects := w.run.Effects()
	if len(effects) == 0 {
		return
	}
	e := effects[w.one(len(effects))]
	st := daruma.Settlement{Key: e.Key, Outcome: daruma.Outcome(w.one(4))}
	p.Topic, p.Payload = daruma.TopicResult, payload(st)
	w.said[e.Key] = append(w.said[e.Key], st.Outcome)
	w.hits["late"]++
}

// effects checks that no effect comes to be what it cannot, and takes over
// what settlements from outside have made known.
func (w *world) effects(e daruma.Event) {
	for i, now := range w.run.Effects() {
		var was daruma.EffectRecord
		if i < len(w.knew) {
			was = w.knew[i]
		}
		if i >= len(w.knew) {
			w.wishes[now.Key] = w.wish(now.Tool, now.Call)
		}
		if i >= len(w.knew) || was.State == now.State {
			continue
		}
		human := e.Kind == daruma.KindReceived && decode[daruma.Post](w.t, e).Topic == daruma.TopicAnswer
		if !was.State.To(now.State) && !human {
			w.t.Fatalf("effect %s of %s was %s and is %s", now.Step, now.Tool, was.State, now.State)
		}
		switch said := w.said[now.Key]; {
		case now.State == daruma.EffectConfirmed && slices.Contains(said, daruma.Succeeded):
			w.done[now.Key] = true
			w.did[w.wishes[now.Key]] = true
		case now.State == daruma.EffectFailed && (slices.Contains(said, daruma.Absent) || slices.Contains(said, daruma.Failed)):
			delete(w.doubtful, now.Key)
			delete(w.done, now.Key) // a human has believed it
			delete(w.did, w.wishes[now.Key])
		}
		if now.State.Settled() {
			delete(w.flying, now.Key)
		}
		w.hits[now.State.String()]++
	}
	w.knew = slices.Clone(w.run.Effects())
}

// settled notes what a human said about a call in doubt.
func (w *world) settled(park daruma.Parked, choice string) {
	digits, ok := strings.CutPrefix(park.Subject, "call:")
	if i, err := strconv.Atoi(digits); ok && err == nil && i < len(w.run.Results()) {
		c := w.run.Results()[i]
		key := w.keys[fmt.Sprint(w.run.Turn(), i, c.Tool, c.Args)]
		switch choice {
		case daruma.AnswerAbsent:
			delete(w.doubtful, key)
			delete(w.past, w.wish(c.Tool, i))
		case daruma.AnswerHappened, daruma.AnswerSkip, daruma.AnswerSay:
			w.done[key] = true
			w.did[w.wish(c.Tool, i)] = w.did[w.wish(c.Tool, i)] || choice == daruma.AnswerHappened
		}
	}
}

// decide answers an approval: an open or an old one, rightly or wrongly.
func (w *world) decide(p *daruma.Post) {
	p.Topic = daruma.TopicApproval
	if len(w.open) == 0 {
		return
	}
	a := w.open[w.one(len(w.open))]
	d := daruma.Decision{Approve: w.one(3) > 0, Hash: a.Hash}
	if w.one(5) == 0 {
		d.Hash[0]++
	}
	p.Key, p.Payload = a.ID, payload(d)
	if d.Approve && d.Hash == a.Hash && w.now.Before(a.Expires) {
		w.approved[fmt.Sprint(w.run.Turn(), a.Call, a.Tool+a.Args)] = true
	}
}

// rest lets the world become kind, or stay bad, and expects an end or a
// question after a bounded number of answers; then somebody cancels.
func (w *world) rest() {
	w.settleDown()
	for n := 0; w.run.Finished() == nil; n++ {
		p := w.run.Parked()
		answer := daruma.Answer{Choice: daruma.AnswerAbort}
		switch {
		case n == 0: // a cancel, in half the worlds one that undoes
			w.receive(daruma.Post{Topic: daruma.TopicCancel, Key: "end", By: "user:bob", Payload: payload(daruma.Reason{Compensate: w.one(2) == 0})})
		case n > 50:
			w.t.Fatalf("the run is %s after a cancel", w.run.State())
		case len(w.run.Approvals()) > 0: // of an undoing
			a := w.run.Approvals()[0]
			w.receive(daruma.Post{Topic: daruma.TopicApproval, Key: a.ID, By: "user:bob", Payload: payload(daruma.Decision{Hash: a.Hash})})
		default: // while it is undone a cancel is too late
			if w.one(2) == 0 && slices.Contains(p.Options, daruma.AnswerSkip) {
				answer.Choice = daruma.AnswerSkip
			}
			answer.Question = p.ID
			w.receive(daruma.Post{Topic: daruma.TopicAnswer, Key: fmt.Sprint("end", n), By: "user:bob", Payload: payload(answer)})
		}
		w.settleDown()
	}
}

// settleDown answers until the run is over or parked.
func (w *world) settleDown() {
	for n := 0; ; n++ {
		commands := w.look()
		state := w.run.State()
		if state.Finished() || state == daruma.ParkedState {
			return
		}
		if n > 600 {
			w.t.Fatalf("the run never ends: %s, %+v", state, commands)
		}
		if len(commands) == 0 && len(w.children) > 0 {
			w.childEnds()
			continue
		}
		c := commands[0]
		if c.Op == daruma.OpCallModel && !w.bad {
			w.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, daruma.Replied{Command: c.ID, Message: daruma.Message{Text: "done"}}))
			continue
		}
		w.answer(c, w.bad)
	}
}

// checkpoints checks that the whole history and every checkpoint with its tail
// give the same run.
func (w *world) checkpoints() {
	w.refold()
	for i, e := range w.events {
		if e.Kind != daruma.KindCheckpoint {
			continue
		}
		r, err := daruma.Fold(w.id, "acme", w.events[i:])
		if err != nil {
			w.t.Fatalf("fold from the checkpoint at %d: %v", e.Seq, err)
		}
		if d := diffRuns(w.run, r); d != "" {
			w.t.Fatalf("folded from the checkpoint at %d (-all +checkpoint):\n%s", e.Seq, d)
		}
	}
}
