package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// story tells the events of a run in lines for people. It keeps what it needs
// to name things; one story for one run. The
// zero story is ready.
type story struct {
	node string // who worked on the run last
}

// line tells one event; "" where there is nothing worth a line.
func (s *story) line(e daruma.Event) string {
	mark, text := s.tell(e)
	if text == "" {
		return ""
	}
	return mark + " " + printable(text)
}

// Marks of lines: a step that went well, a fall, a catch, a person.
const (
	markStep  = "·"
	markFall  = "✗"
	markCatch = "↑"
	markHuman = "?"
	markEnd   = "■"
)

func (s *story) tell(e daruma.Event) (mark, text string) {
	switch e.Kind {
	case daruma.KindStarted:
		p := read[daruma.Started](e)
		return markStep, fmt.Sprintf("%s starts: %s", p.Agent, short(p.Input.Text)) + loweredText(p.Lowered) + lessonsText(p.Lessons)
	case daruma.KindForked:
		s.node = "" // who works on the fork takes it over from nobody
		return markStep, forkText(e.Actor, read[daruma.Forked](e))
	case daruma.KindClaimed:
		p := read[daruma.Claim](e)
		before := s.node
		s.node = p.Node
		if before == "" || before == p.Node {
			return "", ""
		}
		return markStep, fmt.Sprintf("taken over by %s from %s", p.Node, before)
	case daruma.KindReplied:
		p := read[daruma.Replied](e)
		var wants []string
		for _, c := range p.Message.Calls {
			wants = append(wants, c.Name+"("+short(c.Arguments)+")")
		}
		if len(wants) > 0 {
			return markStep, p.Target + " wants " + strings.Join(wants, ", ")
		}
		return markStep, p.Target + " says: " + short(p.Message.Text)
	case daruma.KindSignal:
		p := read[daruma.Signal](e)
		return markFall, fmt.Sprintf("%s: %s", p.Type, short(p.Message))
	case daruma.KindMove:
		return markCatch, moveText(read[daruma.Move](e))
	case daruma.KindToolCalled:
		p := read[daruma.ToolCalled](e)
		return markStep, fmt.Sprintf("calls %s (%s, attempt %d)", p.Tool, p.Effect, p.Attempt)
	case daruma.KindToolReplied:
		p := read[daruma.ToolReplied](e)
		if p.Of != "" {
			return markCatch, fmt.Sprintf("%s was done already in step %s: answered from the record, not done again", p.Tool, p.Of)
		}
		if p.Outcome == daruma.Succeeded {
			return markStep, p.Tool + " → " + short(p.Text)
		}
		return "", ""
	case daruma.KindApproval:
		p := read[daruma.Approval](e)
		return markHuman, fmt.Sprintf("needs approval: %s(%s), %s [%s]", p.Tool, short(p.Args), p.Why, p.ID)
	case daruma.KindReceived:
		p := read[daruma.Post](e)
		if p.Topic == daruma.TopicChild {
			return markStep, receivedText(p)
		}
		return markHuman, receivedText(p)
	case daruma.KindPostRefused:
		p := read[daruma.PostRefused](e)
		return markHuman, fmt.Sprintf("refused, nothing has changed: %s of %s: %s", p.Topic, p.By, short(p.Why))
	case daruma.KindBudget:
		p := read[daruma.BudgetMet](e)
		if p.Budget == "" || p.Soft {
			return "", "" // the signal says it
		}
		return markFall, fmt.Sprintf("%s is not called: budget %s has too little left for %s", p.Target, p.Budget, p.Need)
	case daruma.KindParked:
		p := read[daruma.Parked](e)
		if p.Reason == daruma.ParkApproval {
			return markHuman, "parked until somebody decides"
		}
		return markHuman, "parked: " + p.Text
	case daruma.KindChild:
		return markStep, "waits for sub-run " + string(read[daruma.ChildStarted](e).Run)
	case daruma.KindUndo:
		var of []string
		for _, c := range read[daruma.Undo](e).Calls {
			of = append(of, c.Of+" by "+c.Tool)
		}
		return markCatch, "undoes, the last first: " + strings.Join(of, ", ")
	case daruma.KindFinished:
		p := read[daruma.Finished](e)
		text := p.State.String()
		if p.Level != daruma.Full {
			text += " (" + p.Level.String() + ")"
		}
		if p.Answer != "" {
			text += ": " + short(p.Answer)
		}
		if p.State != daruma.Completed && p.Text != "" {
			text += "; " + p.Text
		}
		return markEnd, text
	}
	return "", ""
}

// moveText says what a recovery does.
func moveText(m daruma.Move) string {
	wait := ""
	if m.Wait > 0 {
		wait = " in " + time.Duration(m.Wait).Round(time.Millisecond).String()
	}
	switch m.Remedy {
	case daruma.Retry:
		if m.Signal == daruma.UnknownOutcome {
			return "retry" + wait + " with the same idempotency key: it cannot happen twice"
		}
		return fmt.Sprintf("retry %d%s", m.Try, wait)
	case daruma.Repair:
		return "repair: the call is made with " + short(m.Args)
	case daruma.Reflect:
		return "reflect: the model is shown what failed and asked for something else"
	case daruma.Verify:
		if m.Wait > 0 {
			return "verify again" + wait + ": it is being processed still"
		}
		return "verify: asks the tool whether it happened"
	case daruma.Compact:
		return "compact: " + cutsText(m.Cuts)
	case daruma.SwitchTool, daruma.SwitchModel:
		return m.Remedy.String() + ": " + m.Target + " takes over"
	case daruma.Degrade:
		return "degrade: goes on without " + short(m.Missing)
	case daruma.WrapUp:
		return "wrap up: the model is told to finish"
	case daruma.Escalate:
		return "escalate: a human is asked"
	case daruma.Park:
		return "park: waits until the limit is raised"
	}
	return m.Remedy.String()
}

// cutsText says what is sent to models no more.
func cutsText(cuts []daruma.Cut) string {
	var parts []string
	out, cut := 0, 0
	for _, c := range cuts {
		if c.Head == 0 && c.Tail == 0 {
			out++
		} else {
			cut++
		}
	}
	if out > 0 {
		parts = append(parts, plural(out, "result")+" left out of the conversation")
	}
	if cut > 0 {
		parts = append(parts, plural(cut, "result")+" cut to head and tail")
	}
	return strings.Join(parts, ", ") + "; the journal keeps all of it"
}

func receivedText(p daruma.Post) string {
	switch p.Topic {
	case daruma.TopicApproval:
		var d daruma.Decision
		json.Unmarshal(p.Payload, &d) // a payload that is none reads as no
		word := "rejects"
		if d.Approve {
			word = "approves"
		}
		return fmt.Sprintf("%s %s %s%s", p.By, word, p.Key, colon(d.Reason))
	case daruma.TopicAnswer:
		var a daruma.Answer
		json.Unmarshal(p.Payload, &a)
		return fmt.Sprintf("%s answers %s%s", p.By, a.Choice, colon(a.Text))
	case daruma.TopicChild:
		var c daruma.ChildResult
		json.Unmarshal(p.Payload, &c)
		return fmt.Sprintf("sub-run %s ended as %s, %s, %s: %s", c.Run, c.State, plural(c.Steps, "step"), c.Cost, short(c.Text))
	case daruma.TopicResult:
		var st daruma.Settlement
		json.Unmarshal(p.Payload, &st)
		return fmt.Sprintf("%s says of the call with key %s: %s%s", p.By, st.Key, st.Outcome, colon(st.Text))
	case daruma.TopicCancel:
		return string(p.By) + " cancels"
	case daruma.TopicBudget:
		var b daruma.BudgetRaised
		json.Unmarshal(p.Payload, &b)
		return fmt.Sprintf("%s raises budget %s", p.By, short(b.Budget))
	case daruma.TopicPolicy:
		return fmt.Sprintf("%s changes the policy: %s", p.By, short(string(p.Payload)))
	}
	return fmt.Sprintf("%s posts on %s", p.By, p.Topic)
}

func colon(text string) string {
	if text == "" {
		return ""
	}
	return ": " + short(text)
}

// read decodes a payload; what does not decode reads as empty, since a story
// must be tellable of any journal.
func read[T any](e daruma.Event) T {
	var v T
	if json.Unmarshal(e.Payload, &v) != nil {
		var zero T
		return zero
	}
	return v
}

// short cuts text to a line's length.
func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	const most = 140
	if len(text) <= most {
		return text
	}
	cut := most
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}

// printable takes out what could move a terminal's cursor: run data is text.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, text)
}
