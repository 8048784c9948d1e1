package model

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"

	"github.com/daruma-run/daruma"
)

// MaxReply bounds an answer in bytes, text, arguments and unknown fields
// together. What is larger is an error of [daruma.KindBroken].
const MaxReply = 16 << 20

// Collect runs the stream to its end and returns the whole answer.
//
// The error is the stream's own, or one of [daruma.KindBroken]: the stream
// ended without its end mark, the answer is empty, or it is larger than
// [MaxReply]. The reply is never nil: with an error it holds what had come
// until then, good for its usage and for people, not as an answer.
func Collect(stream iter.Seq2[Chunk, error]) (*Reply, error) {
	var b builder
	for c, err := range stream {
		if err != nil {
			return b.reply(), err
		}
		if b.add(c); b.size > MaxReply {
			return b.reply(), broken("the answer is larger than %d bytes", MaxReply)
		}
	}
	r := b.reply()
	if !b.ended {
		return r, broken("the stream ended without its end mark after %d bytes", b.size)
	}
	if strings.TrimSpace(r.Message.Text) == "" && len(r.Message.Calls) == 0 &&
		r.Finish != daruma.FinishLength && r.Finish != daruma.FinishFilter {
		return r, broken("the answer is empty: no text and no calls, finish %q", r.Finish)
	}
	return r, nil
}

func broken(format string, args ...any) error {
	return daruma.Fail("model.Collect", daruma.KindBroken, format, args...)
}

// builder puts the pieces of an answer together.
type builder struct {
	text   strings.Builder
	calls  []*call
	at     map[int]*call // the call that an index of the provider means now
	extra  map[string]json.RawMessage
	joined map[string]*strings.Builder // of extra: text that came in pieces
	out    Reply
	size   int
	ended  bool
	finish daruma.Finish
	native *daruma.Native
}

type call struct {
	id, name string
	args     strings.Builder
}

func (b *builder) add(c Chunk) {
	b.text.WriteString(c.Text)
	b.size += len(c.Text)
	if c.Call != nil {
		b.addCall(c.Call)
	}
	if c.Usage != nil {
		b.out.Usage, b.out.UsageKnown = *c.Usage, true
	}
	if c.Finish != "" {
		b.finish = c.Finish
	}
	if c.Model != "" {
		b.out.Model = c.Model
	}
	if c.Native != nil {
		b.native = c.Native
		b.size += len(c.Native.Content)
	}
	b.ended = b.ended || c.End
	for name, v := range c.Extra {
		b.size += len(v)
		b.addExtra(name, v)
	}
}

func (b *builder) addExtra(name string, v json.RawMessage) {
	if b.extra == nil {
		b.extra = make(map[string]json.RawMessage)
		b.joined = make(map[string]*strings.Builder)
	}
	var text string
	if strings.HasPrefix(name, "delta.") && json.Unmarshal(v, &text) == nil {
		if b.joined[name] == nil {
			b.joined[name] = new(strings.Builder)
		}
		b.joined[name].WriteString(text)
		return
	}
	b.extra[name] = v
}

// addCall finds out which call a piece belongs to. A piece with a name begins
// a new call where its index is new, its id is another one, or the call it
// seems to continue is whole already; everything else continues.
func (b *builder) addCall(d *CallDelta) {
	b.size += len(d.ID) + len(d.Name) + len(d.Arguments)
	c := b.find(d)
	if c != nil && d.Name != "" && begins(c, d) {
		c = nil
	}
	if c == nil {
		c = &call{id: d.ID, name: d.Name}
		b.calls = append(b.calls, c)
	}
	if c.id == "" {
		c.id = d.ID
	}
	if c.name == "" {
		c.name = d.Name
	}
	c.args.WriteString(d.Arguments)
	if d.Index >= 0 {
		if b.at == nil {
			b.at = make(map[int]*call)
		}
		b.at[d.Index] = c
	}
}

func (b *builder) find(d *CallDelta) *call {
	if c, ok := b.at[d.Index]; ok && d.Index >= 0 {
		return c
	}
	if d.Index < 0 && d.ID != "" {
		for i := len(b.calls) - 1; i >= 0; i-- {
			if b.calls[i].id == d.ID {
				return b.calls[i]
			}
		}
	}
	if len(b.calls) > 0 && (d.Index < 0 || d.Name == "" && d.ID == "") {
		return b.calls[len(b.calls)-1]
	}
	return nil
}

// begins reports whether the piece, which has a name, starts another call
// than c.
func begins(c *call, d *CallDelta) bool {
	if d.ID != "" && c.id != "" && d.ID != c.id {
		return true
	}
	if c.name != "" && c.name != d.Name {
		return true
	}
	return d.Arguments != "" && json.Valid([]byte(c.args.String()))
}

func (b *builder) reply() *Reply {
	r := b.out
	r.Finish, r.Extra = b.finish, b.extra
	for name, text := range b.joined {
		r.Extra[name], _ = json.Marshal(text.String()) // strings always encode
	}
	r.Message = daruma.Message{Role: daruma.RoleAssistant, Text: b.text.String(), Native: b.native}
	for _, c := range b.calls {
		r.Message.Calls = append(r.Message.Calls, daruma.ToolCall{ID: c.id, Name: c.name, Arguments: c.args.String()})
	}
	Identify(&r.Message, nil)
	if len(r.Message.Calls) > 0 && r.Finish == daruma.FinishStop {
		r.Finish = daruma.FinishTools // some providers call every good end "stop"
	}
	return &r
}

// Identify gives every call of the message an id of its own: one that is
// missing, stands twice in the message or was used in the history before is
// replaced by a new one. The same message and history always give the same ids.
func Identify(m *daruma.Message, history []daruma.Message) {
	taken := make(map[string]bool)
	turn := 1
	for _, h := range history {
		if h.Role == daruma.RoleAssistant {
			turn++
		}
		for _, c := range h.Calls {
			taken[c.ID] = true
		}
	}
	for i := range m.Calls {
		id := m.Calls[i].ID
		for n := i + 1; id == "" || taken[id]; n++ {
			id = fmt.Sprintf("call_%d_%d", turn, n)
		}
		taken[id] = true
		m.Calls[i].ID = id
	}
}
