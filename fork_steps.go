package daruma

import (
	"cmp"
	"slices"
	"strings"
)

// Step is one model call or tool call of a run, as a fork can do it anew. An
// attempt after a failure is a step of its own.
type Step struct {
	ID   string `json:"id"`             // "turn/n"
	Op   Op     `json:"-"`              // OpCallModel or OpCallTool
	Name string `json:"name"`           // of the target or the tool
	Args string `json:"args,omitempty"` // of a tool call, as the model wrote them
	Seq  int64  `json:"seq"`            // of the last event before it
}

// Steps returns the steps of a run at which it can be forked, in the order in
// which they began. A step that is still to be done is the last. The events
// are all of the run, from its first. Errors are those of [Run.Apply].
func Steps(id RunID, tenant Tenant, events []Event) ([]Step, error) {
	w, err := walk(id, tenant, events)
	if err != nil {
		return nil, err
	}
	return w.steps, nil
}

// walked is what a fork has to know of its origin.
type walked struct {
	run   *Run
	steps []Step
	calls map[string]*Write // by idempotency key
}

// walk folds all events of a run and notes steps and writes on its way.
func walk(id RunID, tenant Tenant, events []Event) (*walked, error) {
	w := &walked{run: NewRun(id, tenant), calls: map[string]*Write{}}
	for _, e := range events {
		w.before(e)
		if err := w.run.Apply(e); err != nil {
			return nil, err
		}
		if e.Kind == KindForked {
			clear(w.calls) // they stand in its record
		}
	}
	w.results()
	r := w.run
	if r.s.Turn == 0 {
		return nil, Fail("daruma.Fork", KindInvalid, "run %s has no events", id)
	}
	if r.s.End == nil && r.s.Reply == nil {
		w.add(Step{ID: r.step(r.s.Model.N), Op: OpCallModel, Name: r.target()})
	}
	if r.s.End == nil && r.s.Judged == JudgeReply && !r.s.Closed {
		for i := range r.s.Calls {
			if r.s.Calls[i].Phase != callDone {
				w.addCall(i)
			}
		}
	}
	slices.SortStableFunc(w.steps, func(a, b Step) int { return cmp.Compare(a.Seq, b.Seq) })
	return w, nil
}

// before notes the step that an event begins or answers.
func (w *walked) before(e Event) {
	r := w.run
	switch e.Kind {
	case KindReplied, KindModelFailed:
		if r.s.Reply == nil && r.s.Turn > 0 {
			w.add(Step{ID: r.step(r.s.Model.N), Op: OpCallModel, Name: r.target()})
		}
	case KindToolCalled:
		folded(e, func(p ToolCalled) error {
			if w.addCall(p.Call) {
				c := &r.s.Calls[p.Call]
				if w.calls[p.Key] == nil {
					w.calls[p.Key] = &Write{Tool: c.Tool, Args: c.canonical(), Run: r.id, Step: p.Command.Step()}
				}
			}
			return nil
		})
	case KindToolReplied:
		folded(e, func(p ToolReplied) error {
			w.addCall(p.Call)
			return nil
		})
	case KindApproval:
		folded(e, func(p Approval) error {
			w.addCall(p.Call)
			return nil
		})
	case KindTurnEnded:
		w.results()
	}
}

// addCall notes the step of a call of this turn, if there is such a call. In a
// turn that is closed, as that of a compensation is, nothing new begins.
func (w *walked) addCall(i int) bool {
	r := w.run
	if i < 0 || i >= len(r.s.Calls) || r.s.Closed {
		return false
	}
	c := &r.s.Calls[i]
	w.add(Step{ID: r.step(c.N), Op: OpCallTool, Name: c.Tool, Args: c.Args})
	return true
}

// add notes a step that is new.
func (w *walked) add(s Step) {
	for i := len(w.steps) - 1; i >= 0; i-- {
		if w.steps[i].ID == s.ID {
			return
		}
	}
	s.Seq = w.run.s.Head
	w.steps = append(w.steps, s)
}

// results takes over what the calls of this turn gave.
func (w *walked) results() {
	for i := range w.run.s.Calls {
		if call := w.calls[w.run.key(i)]; call != nil {
			m := w.run.s.Calls[i].message()
			call.Text, call.Ref = m.Text, m.Ref
		}
	}
}

// record returns everything that was written or may have been, by action.
func (w *walked) record() map[string]Write {
	record := map[string]Write{}
	for key, x := range w.run.s.Record {
		record[key] = x
	}
	for _, e := range w.run.Effects() {
		call := w.calls[e.Key]
		if call == nil || e.State == EffectFailed || e.State == EffectUndone {
			continue
		}
		x := *call
		key := writeKey(x.Tool, x.Args)
		x.Args = excerpt(x.Args, 200)
		if e.State == EffectConfirmed {
			x.Outcome = Succeeded
		} else {
			x.Text, x.Ref = "", Digest{}
			if record[key].Outcome == Succeeded {
				continue
			}
		}
		record[key] = x
	}
	if len(record) == 0 {
		return nil
	}
	return record
}

// find returns the step that a fork names.
func (w *walked) find(at string) (Step, error) {
	switch {
	case len(w.steps) == 0:
		return Step{}, Fail("daruma.Fork", KindInvalid, "run %s has taken no step", w.run.id)
	case at == "last":
		return w.steps[len(w.steps)-1], nil
	}
	for _, s := range w.steps {
		if s.ID == at || strings.HasPrefix(s.ID, at+"/") {
			return s, nil
		}
	}
	var names []string
	for _, s := range w.steps {
		names = append(names, s.ID+" ("+s.Name+")")
	}
	if at == "" {
		return Step{}, Fail("daruma.Fork", KindInvalid, "no step of run %s is named; accepted: %s", w.run.id, strings.Join(names, ", "))
	}
	return Step{}, Fail("daruma.Fork", KindInvalid, "step %q is not one of run %s; accepted: %s", excerpt(at, 50), w.run.id, strings.Join(names, ", "))
}
