// Package trace reads recorded runs of agents in the formats that are about,
// recognised by their content.
//
//	for t, err := range trace.Read(file) {
//		if err != nil {
//			return err // what came before is good
//		}
//		report := detect.Scan(t, detect.Knowledge{})
//	}
package trace

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"strconv"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/detect"
)

// Read yields the traces of a file. An error is yielded last; the traces
// before it are good as far as their Damage says. Errors are [daruma.Failure]
// values of [daruma.KindInvalid] that name the line and what was expected.
func Read(r io.Reader) iter.Seq2[*detect.Trace, error] {
	return func(yield func(*detect.Trace, error) bool) {
		t, err := readChat(bufio.NewReader(r))
		if err != nil {
			yield(nil, &daruma.Failure{Op: "trace.read", Kind: daruma.KindInvalid, Err: err})
			return
		}
		yield(t, nil)
	}
}

// readChat reads the messages of OpenAI's chat completions.
func readChat(r io.Reader) (*detect.Trace, error) {
	var file struct {
		Messages []struct {
			Role      string
			Content   string
			ToolCalls []struct {
				ID       string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
			ToolCallID string `json:"tool_call_id"`
		}
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, err
	}
	t := &detect.Trace{Format: "openai-chat"}
	where := map[string]*daruma.Call{}
	for _, m := range file.Messages {
		if m.Role == "tool" {
			if c := where[m.ToolCallID]; c != nil {
				c.Done, c.Text = true, m.Content
			}
			continue
		}
		id := strconv.Itoa(len(t.Steps) + 1)
		s := detect.Step{ID: id, Role: daruma.Role(m.Role), Text: m.Content}
		for i, c := range m.ToolCalls {
			s.Calls = append(s.Calls, daruma.Call{Index: i, ID: c.ID, Name: c.Function.Name, Tool: c.Function.Name, Args: c.Function.Arguments, Step: id + "/" + strconv.Itoa(i+1)})
			where[c.ID] = &s.Calls[i]
		}
		t.Steps = append(t.Steps, s)
	}
	return t, nil
}
