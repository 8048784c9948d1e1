package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// verify returns the function that finds out whether a call of a tool happened.
func (s *Server) verify(name string) func(context.Context, tool.Call) (daruma.Outcome, tool.Result, error) {
	v := s.config.Tools[name].Verify
	return func(ctx context.Context, call tool.Call) (daruma.Outcome, tool.Result, error) {
		p, err := newPlaces(call)
		if err != nil {
			return daruma.Doubtful, tool.Result{}, err
		}
		args := p.value(v.Arguments)
		done, absent := p.text(v.Done), p.text(v.Absent)
		switch {
		case len(p.missing) > 0:
			return daruma.Doubtful, tool.Result{}, fmt.Errorf("the call has no %s to verify with", strings.Join(p.missing, ", "))
		case done == "", v.Absent != "" && absent == "":
			return daruma.Doubtful, tool.Result{}, errors.New("the text to look for is empty for this call")
		}
		result, err := s.send(ctx, daruma.Read, &sdk.CallToolParams{Name: v.Tool, Arguments: args})
		if err != nil {
			return daruma.Doubtful, tool.Result{}, err
		}
		text := textOf(result)
		if result.IsError {
			return daruma.Doubtful, tool.Result{}, fmt.Errorf("%s reports: %s", v.Tool, text[:min(len(text), maxError)])
		}
		there := strings.Contains(text, done)
		gone := !there
		if v.Absent != "" {
			gone = strings.Contains(text, absent)
		}
		switch {
		case there && !(v.Absent != "" && gone):
			return daruma.Succeeded, tool.Result{Text: fmt.Sprintf("%s was done before: %s shows it.", name, v.Tool)}, nil
		case gone && !there:
			return daruma.Absent, tool.Result{}, nil
		}
		return daruma.Doubtful, tool.Result{}, fmt.Errorf("%s shows neither that it happened nor that it did not", v.Tool)
	}
}

// places fills in what a call has.
type places struct {
	args    any
	key     string
	missing []string
}

func newPlaces(call tool.Call) (*places, error) {
	p := &places{key: call.Key}
	d := json.NewDecoder(strings.NewReader(string(call.Args)))
	d.UseNumber()
	if err := d.Decode(&p.args); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	return p, nil
}

var place = regexp.MustCompile(`\$\{([^{}]*)\}`)

// text fills in the places of a text.
func (p *places) text(template string) string {
	return place.ReplaceAllStringFunc(template, func(found string) string {
		v, ok := p.find(found[2 : len(found)-1])
		if !ok {
			p.missing = append(p.missing, found)
			return ""
		}
		if text, ok := v.(string); ok {
			return text
		}
		b, _ := json.Marshal(v) // it was JSON before
		return string(b)
	})
}

// value fills in a value: a text that is nothing but a place becomes what is
// there, of whatever type.
func (p *places) value(template any) any {
	switch t := template.(type) {
	case string:
		if m := place.FindStringSubmatch(t); m != nil && m[0] == t {
			if v, ok := p.find(m[1]); ok {
				return v
			}
		}
		return p.text(t)
	case map[string]any:
		out := make(map[string]any, len(t))
		for k, v := range t {
			out[k] = p.value(v)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i, v := range t {
			out[i] = p.value(v)
		}
		return out
	}
	return template
}

// find returns what stands at a path such as edits.0.newText.
func (p *places) find(path string) (any, bool) {
	if path == "daruma.key" && p.key != "" {
		return p.key, true
	}
	v := p.args
	for name := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case map[string]any:
			next, ok := at[name]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(at) {
				return nil, false
			}
			v = at[i]
		default:
			return nil, false
		}
	}
	return v, true
}
