package fake

import (
	"fmt"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
)

// scene is what conditions look at.
type scene struct {
	messages []daruma.Message
	tools    []string // offered to the model

	nth  int    // of a tool: which request this is, from 1
	args string // of a tool
	key  string // of a tool
}

// cond is one condition.
type cond struct {
	not   bool
	word  string // the first word
	name  string // of a tool, or a path
	text  string // to look for, in lower case
	span  span
	place string // of `last`: "", tool, user
}

// span is a set of numbers: from..to, odd, even.
type span struct {
	from, to int // to is below 0 without an end
	mod      int // 0: all; 1: odd; 2: even
}

func (s span) has(n int) bool {
	return n >= s.from && (s.to < 0 || n <= s.to) && (s.mod == 0 || s.mod == 1 && n%2 == 1 || s.mod == 2 && n%2 == 0)
}

func (c cond) holds(s *scene) bool { return c.find(s) != c.not }

func (c cond) find(s *scene) bool {
	switch c.word {
	case "turn":
		return c.span.has(s.turn())
	case "last":
		return s.last(c)
	case "note":
		return s.note(c.text)
	case "any":
		for _, m := range s.messages {
			if has(m.Text, c.text) {
				return true
			}
		}
	case "input":
		return has(s.input(), c.text)
	case "system":
		for _, m := range s.messages {
			if m.Role == daruma.RoleSystem && has(m.Text, c.text) {
				return true
			}
		}
	case "called":
		return c.span.has(s.called(c.name))
	case "result":
		for _, r := range s.results(c.name) {
			if has(r, c.text) {
				return true
			}
		}
	case "tools": // have
		for _, t := range s.tools {
			if t == c.name {
				return true
			}
		}
	case "call":
		return c.span.has(s.nth)
	case "args":
		return has(s.args, c.text)
	case "arg":
		return strings.ToLower(gjson.Get(s.args, c.name).String()) == c.text
	case "key":
		return s.key != ""
	}
	return false
}

func has(text, part string) bool { return strings.Contains(strings.ToLower(text), part) }

// turn is the number of the answer that is asked for now.
func (s *scene) turn() int {
	n := 1
	for _, m := range s.messages {
		if m.Role == daruma.RoleAssistant {
			n++
		}
	}
	return n
}

// input is the first thing the user said.
func (s *scene) input() string {
	for _, m := range s.messages {
		if m.Role == daruma.RoleUser {
			return m.Text
		}
	}
	return ""
}

func (s *scene) last(c cond) bool {
	if len(s.messages) == 0 {
		return false
	}
	m := s.messages[len(s.messages)-1]
	switch c.place {
	case "tool":
		return m.Role == daruma.RoleTool && (c.name == "" || s.toolOf(len(s.messages)-1) == c.name) && has(m.Text, c.text)
	case "user":
		return m.Role == daruma.RoleUser && has(m.Text, c.text)
	}
	return has(m.Text, c.text)
}

// note reports whether a user message that is not the first one stands after
// the last thing the model said and contains the text.
func (s *scene) note(text string) bool {
	first := true
	found := false
	for _, m := range s.messages {
		switch m.Role {
		case daruma.RoleAssistant:
			found = false
		case daruma.RoleUser:
			found = found || !first && has(m.Text, text)
			first = false
		}
	}
	return found
}

// called is how many calls of the tool the model has asked for.
func (s *scene) called(tool string) int {
	n := 0
	for _, m := range s.messages {
		for _, c := range m.Calls {
			if c.Name == tool {
				n++
			}
		}
	}
	return n
}

// results are what calls of the tool brought, oldest first.
func (s *scene) results(tool string) []string {
	var out []string
	for i, m := range s.messages {
		if m.Role == daruma.RoleTool && s.toolOf(i) == tool {
			out = append(out, m.Text)
		}
	}
	return out
}

// toolOf is the name of the tool that message i is the result of.
func (s *scene) toolOf(i int) string {
	for k := i - 1; k >= 0; k-- {
		for _, c := range s.messages[k].Calls {
			if c.ID == s.messages[i].CallID {
				return c.Name
			}
		}
	}
	return ""
}

// unpaired says what a strict provider refuses in the conversation: a call
// without its result right behind it, a result without its call, or an id that
// stands twice. Real ones answer such a conversation with 400 for ever.
func (s *scene) unpaired() string {
	open, used := make(map[string]bool), make(map[string]bool)
	for i, m := range s.messages {
		if m.Role == daruma.RoleTool {
			if !open[m.CallID] {
				return fmt.Sprintf("messages[%d]: no call before it has the tool_call_id %q", i, m.CallID)
			}
			delete(open, m.CallID)
			continue
		}
		for id := range open {
			return fmt.Sprintf("messages[%d]: an assistant message with tool_calls must be followed by tool messages responding to each tool_call_id; %q has none", i, id)
		}
		for _, c := range m.Calls {
			if used[c.ID] {
				return fmt.Sprintf("messages[%d]: the tool call id %q stands twice", i, c.ID)
			}
			used[c.ID], open[c.ID] = true, true
		}
	}
	for id := range open {
		return fmt.Sprintf("an assistant message with tool_calls must be followed by tool messages responding to each tool_call_id; %q has none", id)
	}
	return ""
}
