package darumatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/agent"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/route"
	"github.com/daruma-run/daruma/tool"
)

// options are those of the shell of a process: agents with the models and tools
// of the plan, none of which is ever called.
func (w *world) options(p *process) agent.Options {
	a := agent.Agent{Name: "a", Instructions: "Do it.", Models: w.plan.models, Limits: w.plan.limits}
	if w.plan.undo {
		a.Ladder = undoing()
	}
	for _, spec := range w.plan.tools {
		if spec.Agent != "" && w.plan.run(spec.Agent) == nil {
			continue // taken out of the plan
		}
		spec.Alternatives = slices.DeleteFunc(slices.Clone(spec.Alternatives), func(name string) bool {
			_, known := w.plan.spec(name)
			return !known // taken out of the plan
		})
		if spec.Effect == daruma.Read {
			spec.Repeat = daruma.RepeatAuto
		}
		if c := spec.Compensate; c != nil {
			if undo, known := w.plan.spec(c.Tool); !known || undo.Effect == daruma.Read || spec.Effect == daruma.Read || c.Tool == spec.Name || undo.Agent != "" {
				spec.Compensate = nil
			}
		}
		t := tool.Tool{Spec: spec, Description: "Does " + spec.Name + ".",
			Schema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`),
			Do:     func(context.Context, tool.Call) (tool.Result, error) { return tool.Result{}, errNotCalled }}
		if spec.Verify || spec.OnDoubt == daruma.DoubtVerify {
			t.Verify = func(context.Context, tool.Call) (daruma.Outcome, tool.Result, error) {
				return daruma.Doubtful, tool.Result{}, errNotCalled
			}
		}
		a.Tools = append(a.Tools, t)
	}
	var targets []route.Target
	for _, name := range w.plan.models {
		targets = append(targets, route.Target{Name: name, Provider: nobody{}})
	}
	table, err := route.NewTable(targets...)
	if err != nil {
		w.broken("the plan makes no table of models: %v", err)
		return agent.Options{}
	}
	agents := []agent.Agent{a}
	for _, s := range w.plan.agents {
		a.Name = string(s.id)
		agents = append(agents, a)
	}
	return agent.Options{Journal: p.disk, Agents: agents, Models: table, Node: p.node, Workers: w.plan.workers,
		Observe: w.oracle.seen, Logger: slog.New(p)}
}

var errNotCalled = errors.New("simulated tools and models are not called")

// nobody is the provider of models that are not called.
type nobody struct{}

func (nobody) Stream(context.Context, *model.Request) iter.Seq2[model.Chunk, error] {
	return func(yield func(model.Chunk, error) bool) { yield(model.Chunk{}, errNotCalled) }
}

// work is a task that a process has begun.
type work struct {
	p      *process
	task   agent.Task
	cmd    daruma.Command
	turn   int
	n      int // of the command within its turn
	over   bool
	unsent bool // the process died before its request had left it
}

func (k *work) run() string { return string(k.task.Run()) }

// begin performs a task.
func (p *process) begin(t agent.Task) {
	k := &work{p: p, task: t, cmd: t.Command()}
	fmt.Sscanf(k.cmd.ID.Step(), "%d/%d", &k.turn, &k.n)
	w := p.w
	w.tell("%s begins %s %s %s%s %s", p.node, k.cmd.ID, k.cmd.Op, k.cmd.Target, k.cmd.Tool, k.cmd.Args)
	w.oracle.begins(p, k)
	p.works = append(p.works, k)
	if l := w.plan.fault("poison " + k.run()); l != nil && w.outside.next("poison", k.run()) <= l.count("n") {
		w.hit("poisoned")
		p.down = 100 * time.Millisecond
		p.die("poisoned by " + k.run())
		return
	}
	switch k.cmd.Op {
	case daruma.OpCallModel:
		w.outside.model(k)
	case daruma.OpStartRun:
		k.child(k.cmd.Timeout)
	default:
		w.outside.tool(k)
	}
}

// comes has the work come back after a while with its event.
func (k *work) comes(d time.Duration, e daruma.Event, blobs ...daruma.Blob) {
	k.p.w.after(d, func() { k.back(fmt.Sprintf("%s %s", e.Kind, k.cmd.ID), k.task.Done(e, blobs...)) })
}

func (k *work) back(label string, in agent.Input) {
	if k.over {
		return
	}
	k.over = true
	k.p.works = slices.DeleteFunc(k.p.works, func(o *work) bool { return o == k })
	k.p.tell(label, in, 0)
}

// cut ends the work because its process is stopping, at once or, where it does
// not listen, a little later.
func (k *work) cut() {
	d := time.Duration(0)
	if k.p.w.roll(4, "deaf", string(k.cmd.ID)) == 0 {
		d = 3 * time.Second
	}
	k.p.w.after(d, func() { k.back("dropped "+string(k.cmd.ID), k.task.Dropped()) })
}

// cancel ends work that is not wanted any more; it may not listen.
func (p *process) cancel(t agent.Task) {
	p.w.hit("cancelled work")
	for _, k := range p.works {
		if k.task == t && p.w.roll(3, "cancel", string(k.cmd.ID)) > 0 {
			k.cut()
		}
	}
}

// orphaned is work whose process is gone.
func (k *work) orphaned() {
	k.over = true
	k.unsent = k.p.w.roll(2, "unsent", string(k.cmd.ID), k.p.node) == 0
	if k.cmd.Op == daruma.OpCallTool {
		k.p.w.hit("call at a crash")
	}
}

// model answers a call of a model.
func (o *outside) model(k *work) {
	w, run := o.w, k.run()
	n := o.next("model", run)
	l := w.plan.fault(fmt.Sprintf("model %s %d", run, n))
	took := 5*time.Millisecond + w.some(900*time.Millisecond, "model", run, fmt.Sprint(n))
	fault := l.word(3)
	if fault != "" {
		w.hit("model " + fault)
	}
	failed := daruma.ModelFailed{Command: k.cmd.ID, Target: k.cmd.Target, Text: "made to fail", RetryAfter: daruma.Duration(l.duration("after")),
		Took: daruma.Duration(took), Usage: daruma.Usage{Input: 10}}
	if fault == "hang" {
		failed.Kind = daruma.KindTimeout
		k.comes(k.cmd.Timeout, daruma.NewEvent(daruma.KindModelFailed, daruma.ActorShell, failed))
		return
	}
	if fault != "" && failed.Kind.UnmarshalText([]byte(fault)) == nil {
		k.comes(took, daruma.NewEvent(daruma.KindModelFailed, daruma.ActorShell, failed))
		return
	}
	reply := daruma.Replied{Command: k.cmd.ID, Target: k.cmd.Target, Finish: daruma.FinishStop, Usage: daruma.Usage{Input: 100, Output: 20},
		Cost: daruma.Dollar / 1000, Took: daruma.Duration(took), Message: o.says(k, n)}
	if len(reply.Message.Calls) > 0 {
		reply.Finish = daruma.FinishTools
	}
	var blobs []daruma.Blob
	m := &reply.Message
	switch fault {
	case "empty":
		m.Text, m.Calls = "", nil
	case "cut":
		m.Text, m.Calls, reply.Finish = "half of an ans", nil, daruma.FinishLength
	case "unfinished":
		reply.Finish = ""
	case "filtered":
		m.Text, m.Calls, reply.Finish = "", nil, daruma.FinishFilter
	case "garbage":
		m.Calls = []daruma.ToolCall{{ID: "g", Name: o.anyTool(), Arguments: `{"n": "`}}
	case "unknown":
		m.Calls = []daruma.ToolCall{{ID: "u", Name: "no_such_tool", Arguments: `{"n":1}`}}
	case "twice":
		if len(m.Calls) > 0 {
			again := m.Calls[0]
			again.ID += "again"
			m.Calls = append(m.Calls, again)
		}
	case "huge":
		m.Text += strings.Repeat("word ", daruma.MaxInline/5+1)
	}
	m.Text, m.Ref, blobs = large(m.Text)
	k.comes(took, daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, reply), blobs...)
}

// large keeps a long text as shells do.
func large(text string) (string, daruma.Digest, []daruma.Blob) {
	if len(text) <= daruma.MaxInline {
		return text, daruma.Digest{}, nil
	}
	b := daruma.Blob{Digest: daruma.DigestOf([]byte(text)), Bytes: []byte(text)}
	return text[:daruma.ExcerptSize], b.Digest, []daruma.Blob{b}
}

// says is the next turn of the script: that after those already in the
// conversation.
func (o *outside) says(k *work, n int) daruma.Message {
	m := daruma.Message{Role: daruma.RoleAssistant}
	turn := 0
	for _, said := range k.task.Messages() {
		if said.Role == daruma.RoleAssistant {
			turn++
		}
	}
	s := o.w.plan.run(k.run())
	started := o.w.oracle.past(k.task.Run()).run.Started()
	for of := started; s == nil && of.Origin != ""; of = o.w.oracle.past(of.Origin).run.Started() {
		s = o.w.plan.run(string(of.Origin))
	}
	if started.Agent != "a" {
		s = o.w.plan.run(started.Agent)
	}
	if s == nil || turn >= len(s.turns) {
		m.Text = "done"
		return m
	}
	for i, word := range s.turns[turn] {
		name, arg, _ := strings.Cut(word, ":")
		if name == "text" {
			l := line{"", "n=" + arg}
			m.Text = strings.Repeat("text ", l.count("n")/5)
			continue
		}
		m.Calls = append(m.Calls, daruma.ToolCall{ID: fmt.Sprintf("c%d_%d", n, i), Name: name, Arguments: `{"n":` + arg + `}`})
	}
	return m
}

func (o *outside) anyTool() string {
	if len(o.w.plan.tools) == 0 {
		return "none"
	}
	return o.w.plan.tools[0].Name
}
