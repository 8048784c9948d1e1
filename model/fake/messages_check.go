package fake

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"
)

// checkMessages says what Anthropic would refuse in a request, with its words
// where they are known; empty means nothing.
func checkMessages(root gjson.Result) string {
	if root.Get("max_tokens").Int() < 1 {
		return "max_tokens: Field required"
	}
	messages := root.Get("messages").Array()
	if len(messages) == 0 {
		return "messages: at least one message is required"
	}
	c := &messagesCheck{used: make(map[string]bool)}
	for i, m := range messages {
		if wrong := c.message(i, m); wrong != "" {
			return wrong
		}
	}
	if len(c.open) > 0 {
		return c.unanswered(len(messages) - 1)
	}
	last := messages[len(messages)-1]
	if last.Get("role").String() != "user" {
		return "This model does not support assistant message prefill. The conversation must end with a user message."
	}
	if root.Get("thinking.type").String() == "enabled" && c.calls && c.first != "thinking" && c.first != "redacted_thinking" {
		return fmt.Sprintf("messages.%d.content.0.type: Expected `thinking` or `redacted_thinking`, but found `%s`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).", len(messages)-2, c.first)
	}
	return checkMessagesTools(root, len(c.used) > 0)
}

func checkMessagesTools(root gjson.Result, used bool) string {
	tools := root.Get("tools").Array()
	if used && len(tools) == 0 {
		return "Requests which have `tool_use` or `tool_result` blocks must define tools"
	}
	for i, t := range tools {
		if !plainName.MatchString(t.Get("name").String()) {
			return fmt.Sprintf("tools.%d.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", i)
		}
		if t.Get("input_schema.type").String() != "object" {
			return fmt.Sprintf("tools.%d.custom.input_schema.type: Input should be 'object'", i)
		}
	}
	return ""
}

var plainName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// messagesCheck goes through a conversation.
type messagesCheck struct {
	used  map[string]bool // ids of calls
	open  []string        // of the message before, without a result yet
	first string          // kind of the first block of the last assistant message
	calls bool            // that message calls
}

func (c *messagesCheck) message(i int, m gjson.Result) string {
	role, blocks := m.Get("role").String(), blocksOf(m.Get("content"))
	switch {
	case role != "user" && role != "assistant":
		return fmt.Sprintf(`messages: Unexpected role "%s". The Messages API accepts a top-level `+"`system`"+` parameter, not "system" as an input message role.`, role)
	case i == 0 && role != "user":
		return `messages: first message must use the "user" role`
	case len(blocks) == 0:
		return fmt.Sprintf("messages.%d: all messages must have non-empty content except for the optional final assistant message", i)
	case role == "assistant" && len(c.open) > 0:
		return c.unanswered(i - 1)
	}
	if role == "assistant" {
		return c.assistant(i, blocks)
	}
	return c.user(i, blocks)
}

func (c *messagesCheck) unanswered(i int) string {
	return fmt.Sprintf("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.", i, strings.Join(c.open, ", "))
}

func (c *messagesCheck) assistant(i int, blocks []gjson.Result) string {
	c.first, c.calls = blocks[0].Get("type").String(), false
	for n, b := range blocks {
		at := fmt.Sprintf("messages.%d.content.%d", i, n)
		switch b.Get("type").String() {
		case "text":
			if wrong := blankText(b); wrong != "" {
				return wrong
			}
		case "tool_use":
			id := b.Get("id").String()
			switch {
			case !plainName.MatchString(id):
				return at + ".tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
			case c.used[id]:
				return at + ": `tool_use` ids must be unique"
			case !plainName.MatchString(b.Get("name").String()):
				return at + ".tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"
			case !b.Get("input").IsObject():
				return at + ".tool_use.input: Input should be a valid dictionary"
			}
			c.used[id], c.calls = true, true
			c.open = append(c.open, id)
		case "thinking":
			if b.Get("signature").String() != signature(b.Get("thinking").String()) {
				return at + ": Invalid `signature` in `thinking` block"
			}
			if n == len(blocks)-1 {
				return fmt.Sprintf("messages.%d: The final block in an assistant message cannot be `thinking`.", i)
			}
		default:
			return at + ": Input tag '" + b.Get("type").String() + "' found using 'type' does not match any of the expected tags"
		}
	}
	return ""
}

func (c *messagesCheck) user(i int, blocks []gjson.Result) string {
	text := false
	for n, b := range blocks {
		at := fmt.Sprintf("messages.%d.content.%d", i, n)
		if b.Get("type").String() != "tool_result" {
			if wrong := blankText(b); wrong != "" {
				return wrong
			}
			text = true
			continue
		}
		id, found := b.Get("tool_use_id").String(), -1
		for k, open := range c.open {
			if open == id {
				found = k
			}
		}
		switch {
		case found < 0 || text:
			return at + ": unexpected `tool_use_id` found in `tool_result` blocks: " + id + ". Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
		case b.Get("is_error").Bool() && strings.TrimSpace(textOf(b.Get("content"))) == "":
			return at + ".tool_result: content cannot be empty if `is_error` is true"
		}
		c.open = append(c.open[:found], c.open[found+1:]...)
	}
	if len(c.open) > 0 {
		return c.unanswered(i - 1)
	}
	return ""
}

func blankText(b gjson.Result) string {
	if strings.TrimSpace(b.Get("text").String()) == "" {
		return "messages: text content blocks must contain non-whitespace text"
	}
	return ""
}
