package falls

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// bare is the loop people write by hand: call the model, call its tools, three
// tries for everything. It sends no idempotency keys, asks nobody, and is
// started from the beginning when its process died.
type bare struct{}

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

func (b bare) play(ctx context.Context, s *Stage) ([]Ending, error) {
	var endings []Ending
	for i := range s.Acts {
		e := b.life(ctx, s, s.Acts[i].Input, s.Crash != "" && i == 0)
		if ctx.Err() != nil {
			return endings, ctx.Err()
		}
		e.Ledger = s.news()
		endings = append(endings, e)
	}
	return endings, nil
}

// life runs one act, in two processes where the first one dies.
func (b bare) life(ctx context.Context, s *Stage, input string, dies bool) Ending {
	if dies {
		first, kill := context.WithCancel(ctx)
		go func() {
			select {
			case <-s.crash:
			case <-ctx.Done():
			}
			kill()
		}()
		e := b.loop(first, s, input)
		kill()
		if first.Err() == nil {
			return e
		}
	}
	return b.loop(ctx, s, input)
}

func (b bare) loop(ctx context.Context, s *Stage, input string) Ending {
	var tools []any
	for _, t := range s.script.Tools() {
		tools = append(tools, map[string]any{"type": "function", "function": map[string]any{
			"name": t.Spec.Name, "description": t.Description, "parameters": t.Schema}})
	}
	messages := []bareMessage{{Role: "user", Content: input}}
	turns := s.Limits.Filled().Steps
	for range turns {
		reply, err := b.ask(ctx, s, map[string]any{"model": s.script.Models()[0], "messages": messages, "tools": tools})
		if err != nil {
			return Ending{State: failed, Said: "the model failed: " + err.Error()}
		}
		messages = append(messages, reply)
		if len(reply.ToolCalls) == 0 {
			return Ending{State: answered, Said: reply.Content}
		}
		for _, c := range reply.ToolCalls {
			messages = append(messages, bareMessage{Role: "tool", CallID: c.ID, Content: b.call(ctx, s, c)})
		}
	}
	return Ending{State: failed, Said: fmt.Sprintf("gave up after %d turns", turns)}
}

// thrice tries three times, a little later each time.
func thrice(ctx context.Context, do func() error) error {
	var err error
	for i := range 3 {
		if err = do(); err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(i+1) * 50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return err
}

func (b bare) ask(ctx context.Context, s *Stage, request any) (bareMessage, error) {
	var answer struct {
		Choices []struct {
			Message bareMessage `json:"message"`
		} `json:"choices"`
	}
	err := thrice(ctx, func() error {
		body, err := post(ctx, s.url+"/v1/chat/completions", request, time.Duration(s.Limits.ModelTime))
		if err == nil {
			err = json.Unmarshal(body, &answer)
		}
		if err == nil && len(answer.Choices) == 0 {
			err = errors.New("no choices in the answer")
		}
		return err
	})
	if err != nil {
		return bareMessage{}, err
	}
	return answer.Choices[0].Message, nil
}

// call runs a tool and tells the model what came of it.
func (b bare) call(ctx context.Context, s *Stage, c bareCall) string {
	t, ok := s.tool(c.Function.Name)
	if !ok {
		return "error: unknown tool " + c.Function.Name
	}
	if !json.Valid([]byte(c.Function.Arguments)) {
		return "error: the arguments are not valid JSON"
	}
	timeout := time.Duration(t.Spec.Timeout)
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	var body []byte
	err := thrice(ctx, func() error {
		var err error
		body, err = post(ctx, s.url+"/tools/"+c.Function.Name, json.RawMessage(c.Function.Arguments), timeout)
		return err
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return string(body)
}

func post(ctx context.Context, url string, payload any, timeout time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	body, err := json.Marshal(payload)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, brief(string(answer)))
	}
	return answer, err
}
