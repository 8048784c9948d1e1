package fake

import (
	"encoding/json"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// piece is one event of a streamed answer.
type piece struct {
	model  string
	think  string
	text   string
	call   *model.CallDelta
	finish string // as on the wire
	usage  *daruma.Usage
	first  bool // begins the answer; says nothing yet
}

// pieces cuts an answer as a provider would stream it. The last piece is the
// one with the finish and the usage.
func (a said) pieces(name string) []piece {
	out := []piece{{model: name, first: true}}
	for _, t := range cut(a.think, 10) {
		out = append(out, piece{model: name, think: t})
	}
	for _, t := range cut(a.text, 40) {
		out = append(out, piece{model: name, text: t})
	}
	quirks := a.reply.quirks
	for i, c := range a.calls {
		d := model.CallDelta{Index: i, ID: c.ID, Name: c.Name}
		switch {
		case quirks["index-zero"]:
			d.Index = 0
		case quirks["index-none"]:
			d.Index = -1
		case quirks["index-one"]:
			d.Index = i + 1
		}
		switch {
		case quirks["ids-same"]:
			d.ID = "call_same"
		case quirks["ids-none"]:
			d.ID = ""
		}
		for k, part := range cut(c.Arguments, 3) {
			one := model.CallDelta{Index: d.Index, Arguments: part}
			if k == 0 {
				one.ID, one.Name = d.ID, d.Name
			}
			out = append(out, piece{model: name, call: &one})
		}
		if c.Arguments == "" {
			out = append(out, piece{model: name, call: &d})
		}
	}
	last := piece{model: name, finish: a.finish}
	if a.finish == "none" {
		last.finish = ""
	}
	if !a.silent {
		last.usage = &a.usage
	}
	return append(out, last)
}

// cut splits the text into at most n parts, after spaces where it can.
func cut(text string, n int) []string {
	size := max(len(text)/n, 4)
	var out []string
	for len(text) > size && len(out) < n-1 {
		at := runeEnd(text, size)
		if sp := strings.IndexByte(text[at:], ' '); sp >= 0 && sp < size {
			at += sp + 1
		}
		if at <= 0 || at >= len(text) {
			break
		}
		out, text = append(out, text[:at]), text[at:]
	}
	if text != "" {
		out = append(out, text)
	}
	return out
}

func (p piece) chunk() model.Chunk {
	c := model.Chunk{Model: p.model, Text: p.text, Call: p.call, Usage: p.usage, Finish: finishOf(p.finish)}
	if p.think != "" {
		c.Extra = map[string]json.RawMessage{"delta.thinking": gjson.AppendJSONString(nil, p.think)}
	}
	return c
}

func finishOf(wire string) daruma.Finish {
	switch wire {
	case "stop":
		return daruma.FinishStop
	case "tool_calls":
		return daruma.FinishTools
	case "length":
		return daruma.FinishLength
	case "content_filter":
		return daruma.FinishFilter
	}
	return ""
}
