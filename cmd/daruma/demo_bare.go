package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/daruma-run/daruma/model/fake"
)

// bare plays the same script to the loop people write by hand: each request is
// tried up to three times, models are tried in turn, tools are called again
// when no answer comes, and when the process dies a supervisor starts it from
// the beginning.
func (d *demo) bare(ctx context.Context, result *demoResult) error {
	d.say("\nthe same script through a bare loop: three tries for all, started again if dead\n")
	died := false
	world, err := newDemoWorld(ctx, func() bool {
		first := !died
		died = true
		return first
	})
	if err != nil {
		return err
	}
	defer world.close()
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	loop := &bareLoop{url: world.url, tools: world.fake.Script().Tools(), models: []string{"primary", "backup"}}
	for range 3 {
		result.BareEnd, err = loop.run(ctx)
		if err == nil || ctx.Err() != nil {
			break
		}
		result.BareEnd = "gave up: " + short(err.Error())
		d.say("  · died: %s; started again\n", printable(short(err.Error())))
	}
	if ctx.Err() != nil {
		result.BareEnd = "hang"
	}
	result.BareRefunds = world.refunds()
	d.say("  ■ %s\n", printable(short(result.BareEnd)))
	return nil
}

// bareLoop is an agent without Daruma.
type bareLoop struct {
	url    string
	tools  []fake.Tool
	models []string
}

type bareMessage struct {
	Role      string     `json:"role"`
	Content   string     `json:"content"`
	ToolCalls []bareCall `json:"tool_calls,omitempty"`
	CallID    string     `json:"tool_call_id,omitempty"`
}

type bareCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

func (b *bareLoop) run(ctx context.Context) (string, error) {
	var tools []any
	for _, t := range b.tools {
		tools = append(tools, map[string]any{"type": "function", "function": map[string]any{
			"name": t.Spec.Name, "description": t.Description, "parameters": t.Schema}})
	}
	messages := []bareMessage{{Role: "user", Content: demoInput}}
	for range 20 {
		reply, err := b.ask(ctx, messages, tools)
		if err != nil {
			return "", err
		}
		messages = append(messages, reply)
		if len(reply.ToolCalls) == 0 {
			return reply.Content, nil
		}
		for _, call := range reply.ToolCalls {
			text, err := b.call(ctx, call)
			if err != nil {
				return "", err
			}
			messages = append(messages, bareMessage{Role: "tool", CallID: call.ID, Content: text})
		}
	}
	return "", fmt.Errorf("no end after 20 turns")
}

// ask tries each model three times.
func (b *bareLoop) ask(ctx context.Context, messages []bareMessage, tools []any) (bareMessage, error) {
	var last error
	for _, model := range b.models {
		for range 3 {
			var answer struct {
				Choices []struct {
					Message bareMessage `json:"message"`
				} `json:"choices"`
			}
			body, err := b.post(ctx, "/v1/chat/completions", map[string]any{"model": model, "messages": messages, "tools": tools})
			if err == nil {
				err = json.Unmarshal(body, &answer)
			}
			if err == nil && len(answer.Choices) > 0 {
				return answer.Choices[0].Message, nil
			}
			last = err
			select {
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
				return bareMessage{}, ctx.Err()
			}
		}
	}
	return bareMessage{}, fmt.Errorf("every model failed: %w", last)
}

// call runs a tool; what it is refused is told to the model, and a lost
// answer ends the process, as a crash would.
func (b *bareLoop) call(ctx context.Context, c bareCall) (string, error) {
	known := false
	for _, t := range b.tools {
		known = known || t.Spec.Name == c.Function.Name
	}
	if !known {
		return "error: unknown tool " + c.Function.Name, nil
	}
	if !json.Valid([]byte(c.Function.Arguments)) {
		return "error: arguments are invalid JSON", nil
	}
	body, err := b.post(ctx, "/tools/"+c.Function.Name, json.RawMessage(c.Function.Arguments))
	if err != nil && !strings.HasPrefix(err.Error(), "status") {
		return "", fmt.Errorf("%s: %w", c.Function.Name, err)
	}
	if err != nil {
		return "error: " + err.Error(), nil
	}
	return string(body), nil
}

func (b *bareLoop) post(ctx context.Context, path string, payload any) ([]byte, error) {
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, short(string(answer)))
	}
	return answer, err
}
