package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// verify returns the function that finds out whether a call of a tool happened.
func (s *Server) verify(name string) func(context.Context, tool.Call) (daruma.Outcome, tool.Result, error) {
	v := s.config.Tools[name].Verify
	return func(ctx context.Context, call tool.Call) (daruma.Outcome, tool.Result, error) {
		filled, err := daruma.FillPlaces([]any{map[string]any(v.Arguments), v.Done, v.Absent}, placesOf(call))
		if err != nil {
			return daruma.Doubtful, tool.Result{}, fmt.Errorf("the call has nothing to verify with: %w", unwrapped(err))
		}
		parts := filled.([]any)
		args, done, absent := parts[0], textOfValue(parts[1]), textOfValue(parts[2])
		if done == "" || v.Absent != "" && absent == "" {
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

// placesOf returns what the places of a verification stand for.
func placesOf(call tool.Call) func(name string) (any, error) {
	return func(name string) (any, error) {
		if name == "key" {
			if call.Key == "" {
				return nil, errors.New("it has no idempotency key")
			}
			return call.Key, nil
		}
		d := json.NewDecoder(strings.NewReader(string(call.Args)))
		d.UseNumber()
		var args any
		if err := d.Decode(&args); err != nil {
			return nil, fmt.Errorf("arguments: %w", err)
		}
		return args, nil
	}
}

// textOfValue is a value as a text that can be looked for.
func textOfValue(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	b, _ := json.Marshal(v) // it was JSON before
	return string(b)
}

// unwrapped is an error without its operation.
func unwrapped(err error) error {
	if f, ok := errors.AsType[*daruma.Failure](err); ok {
		return f.Err
	}
	return err
}
