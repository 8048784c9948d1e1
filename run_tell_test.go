package daruma_test

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/daruma-run/daruma"
)

// tell writes an event as one line.
func (s *script) tell(e daruma.Event) string {
	if e.Kind == daruma.KindToolReplied && e.Actor == daruma.ActorCore {
		v := decode[daruma.ToolReplied](s.t, e)
		if v.Of != "" {
			return fmt.Sprintf("replayed %d %s from %s: %s", v.Call, v.Tool, v.Of, v.Text)
		}
		return fmt.Sprintf("from the record %d %s, %s: %s", v.Call, v.Tool, v.Outcome, v.Text)
	}
	switch e.Kind {
	case daruma.KindStarted, daruma.KindReplied, daruma.KindJudged, daruma.KindToolReplied, daruma.KindTimer, daruma.KindChild, daruma.KindReceived, daruma.KindClaimed, daruma.KindModelFailed:
		return ""
	case daruma.KindSignal:
		v := decode[daruma.Signal](s.t, e)
		return fmt.Sprintf("signal %s %s of %s: %s", v.Severity, v.Type, v.Subject, v.Message)
	case daruma.KindMove:
		v := decode[daruma.Move](s.t, e)
		line := fmt.Sprintf("move %s of %s, rung %d, try %d", v.Remedy, v.Subject, v.Rung, v.Try)
		if v.Wait > 0 {
			line += ", wait " + v.Wait.String()
		}
		if v.Target != "" {
			line += ", to " + v.Target
		}
		if v.Args != "" {
			line += ", with " + v.Args
		}
		if v.Missing != "" {
			line += ", missing " + v.Missing
		}
		for _, c := range v.Cuts {
			line += fmt.Sprintf(", %d cut from %d to %d+%d", c.Message, c.Size, c.Head, c.Tail)
		}
		return line
	case daruma.KindToolCalled:
		v := decode[daruma.ToolCalled](s.t, e)
		line := fmt.Sprintf("intent %d %s %s, attempt %d, %s", v.Call, v.Tool, v.Effect, v.Attempt, s.key(v.Key))
		if l := v.Share; l != nil {
			line += fmt.Sprintf(", share %d steps, %s, %d tokens, %s", l.Steps, l.Time, l.Tokens, l.Money)
		}
		return line
	case daruma.KindApproval:
		v := decode[daruma.Approval](s.t, e)
		s.asked = append(s.asked, v)
		return fmt.Sprintf("approval %s of %d %s %s, %s", v.ID, v.Call, v.Tool, v.Args, v.Why)
	case daruma.KindParked:
		v := decode[daruma.Parked](s.t, e)
		line := fmt.Sprintf("parked %s: %s", v.Reason, v.Text)
		if len(v.Options) > 0 {
			s.questions = append(s.questions, v.ID)
			line += fmt.Sprintf(" %s [%s]", v.ID, strings.Join(v.Options, " "))
		}
		return line
	case daruma.KindPostRefused:
		v := decode[daruma.PostRefused](s.t, e)
		return fmt.Sprintf("refused %s of %s: %s", v.Topic, v.By, v.Why)
	case daruma.KindUndo:
		v := decode[daruma.Undo](s.t, e)
		line := "undo"
		for _, c := range v.Calls {
			line += fmt.Sprintf(" %s by %s %s%s;", c.Of, c.Tool, c.Args, c.Fault)
		}
		return line
	case daruma.KindTurnEnded:
		return "turn ended"
	case daruma.KindFinished:
		v := decode[daruma.Finished](s.t, e)
		line := fmt.Sprintf("finished %s, level %s: %q", v.State, v.Level, v.Answer)
		if v.Text != "" {
			line += fmt.Sprintf(" (%s)", v.Text)
		}
		for _, m := range v.Missing {
			line += "\n      missing: " + m
		}
		for _, u := range v.Compensated {
			line += "\n      compensated: " + u
		}
		for _, u := range v.Remaining {
			line += "\n      remaining: " + u
		}
		return line
	}
	return string(e.Kind)
}

// want writes an outstanding command as one line.
func (s *script) want(c daruma.Command) string {
	line := c.ID.Step() + " " + c.Op.String()
	switch c.Op {
	case daruma.OpCallModel:
		line += " " + c.Target
	case daruma.OpCallTool, daruma.OpVerify:
		line += fmt.Sprintf(" %d %s %s, %s", c.Call, c.Tool, c.Args, s.key(c.Key))
		if c.Approved {
			line += ", approved"
		}
	case daruma.OpStartRun:
		line += fmt.Sprintf(" %d %s of %s %s, depth %d", c.Call, c.Child, c.Agent, c.Args, c.Depth)
	case daruma.OpWait:
		line += " until +" + c.Until.Sub(epoch).String()
	}
	return line
}

// key gives idempotency keys short names, so that the same key shows.
func (s *script) key(k string) string {
	if s.keys[k] == "" {
		s.keys[k] = fmt.Sprintf("key %c", 'A'+len(s.keys))
	}
	return s.keys[k]
}

// message writes a message of the conversation.
func (s *script) message(m daruma.Message) {
	who := string(m.Role)
	if m.Note {
		who = "note"
	}
	if m.Error {
		who += " error"
	}
	text := strings.ReplaceAll(strings.TrimRight(m.Text, "\n"), "\n", "\n      ")
	fmt.Fprintf(&s.out, "    %s: %s\n", who, text)
	for _, c := range m.Calls {
		fmt.Fprintf(&s.out, "      call %s %s\n", c.Name, c.Arguments)
	}
}

// decode reads the payload of an event.
func decode[T any](t tester, e daruma.Event) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(e.Payload, &v); err != nil {
		t.Fatalf("%s: %v", e.Kind, err)
	}
	return v
}
