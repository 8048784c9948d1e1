package daruma

import (
	"maps"
	"slices"
	"time"
)

// applyForked turns the history of the origin into the beginning of this run:
// nothing is in flight, asked or open any more, nothing of it is this run's to
// pay for or to undo, and the step is to be done anew under numbers of its own.
func (r *Run) applyForked(p Forked) error {
	s := &r.s
	if s.Undo != nil {
		return Fail("", KindConflict, "a run that is being undone cannot be forked there")
	}
	s.Record = maps.Clone(p.Record)
	for i := range s.Falls {
		if !s.Falls[i].Over {
			s.Falls = slices.Clone(s.Falls)
			s.Falls[i].Over = true
		}
	}
	s.Open, s.Approve, s.Park, s.Asked, s.Cancel, s.Ending, s.Refused = nil, nil, nil, nil, nil, nil, nil
	s.Effects, s.Written, s.Contra, s.Revert = nil, nil, nil, false
	s.Claims, s.Steps, s.Usage, s.Cost, s.Active, s.Thought, s.Soft = 0, 0, Usage{}, 0, 0, nil, nil
	if s.Reply != nil {
		s.Steps = 1 // the answer that is being acted on
	}
	s.Start.Nonce, s.Start.Key, s.Start.Origin = p.Nonce, p.Key, p.Run
	s.Start.Parent = nil // it waits for the origin, and for nobody else
	r.applyChange(p.Change)
	if s.Reply == nil {
		s.Model.N = r.number()
	}
	s.Model.Tried, s.Model.Attempt, s.Model.Until, s.Model.Failure = nil, 1, time.Time{}, nil
	for i := range s.Calls {
		if c := &s.Calls[i]; c.Phase != callDone {
			*c = callStep{ID: c.ID, Name: c.Name, Args: c.Args, Canon: c.Canon, Tool: c.Tool, N: r.number(), Attempt: 1}
		}
	}
	p.Record = nil // kept beside it
	s.Fork = &p
	return nil
}

func (r *Run) applyChange(c Change) {
	s := &r.s
	if len(c.Models) > 0 {
		s.Start.Models, s.Model.Target = c.Models, 0
	}
	s.Start.Limits = c.Limits.Over(s.Start.Limits)
	if c.Ladder != nil {
		s.Start.Ladder, s.Start.DefaultLadder = *c.Ladder, 0
	}
	s.Messages = slices.Clone(s.Messages)
	if c.Instructions != nil {
		s.Start.Instructions = *c.Instructions
		if len(s.Messages) > 0 && s.Messages[0].Role == RoleSystem {
			s.Messages = s.Messages[1:]
		}
		if *c.Instructions != "" {
			s.Messages = slices.Insert(s.Messages, 0, Message{Role: RoleSystem, Text: *c.Instructions})
		}
	}
	if c.Input != nil {
		s.Start.Input = *c.Input
		if i := slices.IndexFunc(s.Messages, func(m Message) bool { return m.Role == RoleUser && !m.Note }); i >= 0 {
			s.Messages[i] = *c.Input
		}
	}
	for name, args := range c.Args {
		i := r.callNamed(name)
		if i < 0 || s.Reply == nil {
			continue
		}
		s.Calls[i].Args, s.Calls[i].Canon = args, ""
		if canon := canonicalArgs(args); canon != args {
			s.Calls[i].Canon = canon
		}
		reply := *s.Reply // others share it
		reply.Message.Calls = slices.Clone(reply.Message.Calls)
		reply.Message.Calls[i].Arguments = args
		reply.Message.Native = nil // what its provider remembers of it is not true any more
		s.Reply = &reply
	}
}

// Forked returns where this run was forked from another one last, nil if it is
// no fork. Its Record is left out: see [Run.Record]. The caller must not
// modify it.
func (r *Run) Forked() *Forked { return r.s.Fork }
