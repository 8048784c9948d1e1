package anthropic

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// format names this package in [daruma.Native].
const format = "anthropic"

// block is one block of an answer.
type block struct {
	kind string
	size int // of a text: its bytes

	call  int    // of a tool_use: which call it is
	input string // its arguments at its beginning, as they came
	wrote bool   // arguments came afterwards

	fields map[string]json.RawMessage  // of every other kind: as it came
	texts  map[string]*strings.Builder // of those: fields that come in pieces
}

// begin reads the beginning of a block, or a whole one.
func (d *decoder) begin(index int, v gjson.Result) error {
	b := &block{kind: v.Get("type").String()}
	d.blocks = append(d.blocks, b)
	if d.at == nil {
		d.at = make(map[int]*block)
	}
	d.at[index] = b
	switch b.kind {
	case "text":
		text := v.Get("text").String()
		b.size = len(text)
		return d.send(model.Chunk{Text: text, Extra: keep(nil, "content.", v, "type", "text")})
	case "tool_use":
		b.call, d.calls = d.calls, d.calls+1
		if input := v.Get("input"); input.Exists() && input.Type != gjson.Null {
			b.input = input.Raw
			if input.Type == gjson.String { // some servers send a text
				b.input = input.String()
			}
		}
		name := v.Get("name").String()
		if own := d.names[name]; own != "" {
			name = own
		}
		return d.send(model.Chunk{
			Call:  &model.CallDelta{Index: b.call, ID: v.Get("id").String(), Name: name},
			Extra: keep(nil, "content.", v, "type", "id", "name", "input"),
		})
	}
	b.fields, b.texts = keep(nil, "", v), make(map[string]*strings.Builder)
	if b.fields == nil {
		b.fields = make(map[string]json.RawMessage)
	}
	c := model.Chunk{}
	if text := v.Get("thinking"); b.kind == "thinking" && text.String() != "" {
		c.Extra = map[string]json.RawMessage{"delta.thinking": json.RawMessage(text.Raw)}
	}
	return d.send(c)
}

// more reads a piece of a block.
func (d *decoder) more(index int, delta gjson.Result) error {
	b := d.at[index]
	if b == nil {
		if len(d.blocks) == 0 {
			return daruma.Fail(streamOp, daruma.KindBroken, "a piece of block %d came before any block began", index)
		}
		b = d.blocks[len(d.blocks)-1]
	}
	kind := delta.Get("type").String()
	switch {
	case kind == "text_delta" && b.kind == "text":
		text := delta.Get("text").String()
		b.size += len(text)
		return d.send(model.Chunk{Text: text, Extra: keep(nil, "delta.", delta, "type", "text")})
	case kind == "input_json_delta" && b.kind == "tool_use":
		part := delta.Get("partial_json").String()
		b.wrote = b.wrote || part != ""
		return d.send(model.Chunk{Call: &model.CallDelta{Index: b.call, Arguments: part}, Extra: keep(nil, "delta.", delta, "type", "partial_json")})
	}
	extra := keep(nil, "delta.", delta, "type")
	if b.fields != nil {
		delta.ForEach(func(k, v gjson.Result) bool {
			if k.String() != "type" {
				b.grow(k.String(), v)
			}
			return true
		})
	}
	return d.send(model.Chunk{Extra: extra})
}

// grow adds a piece to a block that is kept as it comes. Texts are joined, but
// a signature comes whole.
func (b *block) grow(name string, v gjson.Result) {
	if v.Type != gjson.String || name == "signature" {
		b.fields[name] = json.RawMessage(v.Raw)
		return
	}
	t := b.texts[name]
	if t == nil {
		t = new(strings.Builder)
		b.texts[name] = t
		if old := b.fields[name]; len(old) > 0 && old[0] == '"' {
			t.WriteString(gjson.ParseBytes(old).String())
		}
	}
	t.WriteString(v.String())
}

// json is the block as it came.
func (b *block) json() (json.RawMessage, error) {
	for name, t := range b.texts {
		if name == "partial_json" { // of a tool that runs at the provider
			if gjson.Valid(t.String()) {
				b.fields["input"] = json.RawMessage(t.String())
			}
			continue
		}
		text, err := json.Marshal(t.String())
		if err != nil {
			return nil, err
		}
		b.fields[name] = text
	}
	return json.Marshal(b.fields)
}

// native is what the provider wants back with the message: its blocks in their
// order, where a number stands for so many bytes of the message's text and
// "call" for its next call. A message of nothing else needs none.
func (d *decoder) native() (*daruma.Native, error) {
	var items []any
	size, found := 0, false
	for _, b := range d.blocks {
		switch {
		case b.kind == "text":
			items = append(items, b.size)
		case b.kind == "tool_use":
			items = append(items, "call")
		default:
			raw, err := b.json()
			if err != nil {
				return nil, daruma.Fail(streamOp, daruma.KindBroken, "a block of type %q cannot be kept: %w", b.kind, err)
			}
			if size += len(raw); size > model.MaxReply {
				return nil, daruma.Fail(streamOp, daruma.KindBroken, "the answer is larger than %d bytes", model.MaxReply)
			}
			items, found = append(items, raw), true
		}
	}
	if !found {
		return nil, nil
	}
	content, err := json.Marshal(items)
	if err != nil {
		return nil, daruma.Fail(streamOp, daruma.KindBroken, "blocks cannot be kept: %w", err)
	}
	return &daruma.Native{Format: format, Model: d.model, Content: content}, nil
}
