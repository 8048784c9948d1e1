package model

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daruma-run/daruma"
)

func stream(chunks ...Chunk) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		for _, c := range chunks {
			if !yield(c, nil) {
				return
			}
		}
	}
}

var end = Chunk{Finish: daruma.FinishTools, End: true}

func piece(index int, id, name, args string) Chunk {
	return Chunk{Call: &CallDelta{Index: index, ID: id, Name: name, Arguments: args}}
}

// TestCalls puts tool calls together as providers number and name them.
func TestCalls(t *testing.T) {
	for name, c := range map[string]struct {
		chunks []Chunk
		want   []daruma.ToolCall
	}{
		"in order": {
			[]Chunk{piece(0, "x", "a", ""), piece(0, "", "", `{"k":`), piece(0, "", "", `1}`), piece(1, "y", "b", `{}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{"k":1}`}, {ID: "y", Name: "b", Arguments: `{}`}},
		},
		"interleaved": {
			[]Chunk{piece(0, "x", "a", `{`), piece(1, "y", "b", `[`), piece(0, "", "", `}`), piece(1, "", "", `]`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{}`}, {ID: "y", Name: "b", Arguments: `[]`}},
		},
		"from one": {
			[]Chunk{piece(1, "x", "a", `{`), piece(1, "", "", `}`), piece(2, "y", "b", `{}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{}`}, {ID: "y", Name: "b", Arguments: `{}`}},
		},
		"all zero, whole": {
			[]Chunk{piece(0, "x", "a", `{"k":1}`), piece(0, "y", "a", `{"k":2}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{"k":1}`}, {ID: "y", Name: "a", Arguments: `{"k":2}`}},
		},
		"all zero, same id, same tool": {
			[]Chunk{piece(0, "x", "a", `{"k":1}`), piece(0, "x", "a", `{"k":2}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{"k":1}`}, {ID: "call_1_2", Name: "a", Arguments: `{"k":2}`}},
		},
		"all zero, in pieces, no ids": {
			[]Chunk{piece(0, "", "a", ``), piece(0, "", "", `{}`), piece(0, "", "b", ``), piece(0, "", "", `{}`)},
			[]daruma.ToolCall{{ID: "call_1_1", Name: "a", Arguments: `{}`}, {ID: "call_1_2", Name: "b", Arguments: `{}`}},
		},
		"no index": {
			[]Chunk{piece(-1, "x", "a", `{`), piece(-1, "", "", `}`), piece(-1, "y", "a", `{"k":`), piece(-1, "y", "", `2}`), piece(-1, "x", "", ` `)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{} `}, {ID: "y", Name: "a", Arguments: `{"k":2}`}},
		},
		"name and id in every piece": {
			[]Chunk{piece(0, "x", "a", `{"k"`), piece(0, "x", "a", `:1`), piece(0, "x", "a", `}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{"k":1}`}},
		},
		"same id at two places": {
			[]Chunk{piece(0, "x", "a", `{}`), piece(1, "x", "a", `{}`)},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: `{}`}, {ID: "call_1_2", Name: "a", Arguments: `{}`}},
		},
		"broken arguments stay": {
			[]Chunk{piece(0, "x", "a", "{\"k\": \x01"), piece(1, "y", "b", "")},
			[]daruma.ToolCall{{ID: "x", Name: "a", Arguments: "{\"k\": \x01"}, {ID: "y", Name: "b", Arguments: ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Collect(stream(append(c.chunks, end)...))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, r.Message.Calls); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestIdentifyAgainstHistory(t *testing.T) {
	history := []daruma.Message{
		{Role: daruma.RoleAssistant, Calls: []daruma.ToolCall{{ID: "call_2_1"}, {ID: "call_0"}}},
	}
	m := daruma.Message{Calls: []daruma.ToolCall{{ID: "call_0"}, {ID: "new"}, {ID: "new"}, {}}}
	Identify(&m, history)
	got := []string{}
	for _, c := range m.Calls {
		got = append(got, c.ID)
	}
	if want := []string{"call_2_2", "new", "call_2_3", "call_2_4"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestWhatIsNoAnswer(t *testing.T) {
	usage := &daruma.Usage{Input: 7, Output: 1}
	for name, c := range map[string]struct {
		chunks []Chunk
		kind   daruma.Kind
	}{
		"nothing":              {nil, daruma.KindBroken},
		"no end mark":          {[]Chunk{{Text: "hello", Finish: daruma.FinishStop, Usage: usage}}, daruma.KindBroken},
		"empty":                {[]Chunk{{Finish: daruma.FinishStop, End: true}}, daruma.KindBroken},
		"spaces":               {[]Chunk{{Text: " \n\t ", Finish: daruma.FinishStop, End: true}}, daruma.KindBroken},
		"empty, reason unsaid": {[]Chunk{{End: true}}, daruma.KindBroken},
		"empty at its limit":   {[]Chunk{{Finish: daruma.FinishLength, End: true}}, 0},
		"empty and declined":   {[]Chunk{{Finish: daruma.FinishFilter, End: true}}, 0},
		"text, reason unsaid":  {[]Chunk{{Text: "hello", End: true}}, 0},
		"too large":            {[]Chunk{{Text: strings.Repeat("x", MaxReply+1)}, {End: true}}, daruma.KindBroken},
	} {
		r, err := Collect(stream(c.chunks...))
		if r == nil || daruma.KindOf(err) != c.kind || (err == nil) != (c.kind == 0) {
			t.Errorf("%s: %v", name, err)
		}
		if name == "no end mark" && (r.Usage != *usage || !r.UsageKnown) {
			t.Errorf("the usage of a broken answer is lost: %+v", r)
		}
	}
}

func TestCollectKeepsUnknownFields(t *testing.T) {
	r, err := Collect(stream(
		Chunk{Extra: map[string]json.RawMessage{"delta.reasoning_content": []byte(`"Let "`), "x": []byte("1")}},
		Chunk{Extra: map[string]json.RawMessage{"delta.reasoning_content": []byte(`"me see"`), "x": []byte("2")}, Text: "4"},
		Chunk{Finish: daruma.FinishStop, End: true},
	))
	if err != nil || string(r.Extra["delta.reasoning_content"]) != `"Let me see"` || string(r.Extra["x"]) != "2" {
		t.Fatalf("%s %v", r.Extra, err)
	}
}

func TestPatience(t *testing.T) {
	p := Patience{FirstToken: 10 * time.Second, Progress: 3 * time.Second}
	slow := func(steps ...any) func(context.Context) iter.Seq2[Chunk, error] {
		return func(ctx context.Context) iter.Seq2[Chunk, error] {
			return func(yield func(Chunk, error) bool) {
				for _, s := range steps {
					switch s := s.(type) {
					case time.Duration:
						select {
						case <-time.After(s):
						case <-ctx.Done():
							yield(Chunk{}, ctx.Err())
							return
						}
					case Chunk:
						if !yield(s, nil) {
							return
						}
					}
				}
			}
		}
	}
	word, nothing := Chunk{Text: "w"}, Chunk{Model: "m"}
	for name, c := range map[string]struct {
		steps []any
		took  time.Duration
		late  bool
	}{
		"in time":                         {[]any{9 * time.Second, word, 2 * time.Second, word, 2 * time.Second, end}, 13 * time.Second, false},
		"no first piece":                  {[]any{time.Minute, word, end}, 10 * time.Second, true},
		"keepalives are no first piece":   {[]any{4 * time.Second, nothing, 4 * time.Second, nothing, 4 * time.Second, word, end}, 10 * time.Second, true},
		"no progress":                     {[]any{word, time.Minute, end}, 3 * time.Second, true},
		"keepalives are no progress":      {[]any{word, 2 * time.Second, nothing, 2 * time.Second, nothing, end}, 3 * time.Second, true},
		"reasoning is progress":           {[]any{word, 2 * time.Second, Chunk{Extra: map[string]json.RawMessage{"delta.reasoning_content": []byte(`"x"`)}}, 2 * time.Second, end}, 4 * time.Second, false},
		"an unknown field is no progress": {[]any{word, 2 * time.Second, Chunk{Extra: map[string]json.RawMessage{"id": []byte(`"x"`)}}, 2 * time.Second, end}, 3 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, err := Collect(p.Watch(t.Context(), slow(c.steps...)))
				if took := time.Since(start); took != c.took || (daruma.KindOf(err) == daruma.KindTimeout) != c.late {
					t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
	t.Run("a slow reader is not the provider's fault", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			for _, err := range p.Watch(t.Context(), slow(word, word, end)) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				<-time.After(time.Minute)
			}
			if n != 3 {
				t.Errorf("%d chunks", n)
			}
		})
	})
	t.Run("the caller's own end is not late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			if _, err := Collect(p.Watch(ctx, slow(time.Hour))); daruma.KindOf(err) != daruma.KindCancelled {
				t.Error(err)
			}
		})
	})
}

func TestRequestCheck(t *testing.T) {
	user := []daruma.Message{{Role: daruma.RoleUser, Text: "x"}}
	for want, r := range map[string]Request{
		"model is empty":     {Messages: user},
		"messages are empty": {Model: "m"},
		"messages[0].role":   {Model: "m", Messages: []daruma.Message{{Role: "robot"}}},
		"reference":          {Model: "m", Messages: []daruma.Message{{Role: daruma.RoleUser, Ref: daruma.DigestOf(nil)}}},
		"tools[1].name":      {Model: "m", Messages: user, Tools: []Tool{{Name: "a"}, {Name: "a"}}},
		"tools[0].schema":    {Model: "m", Messages: user, Tools: []Tool{{Name: "a", Schema: []byte("{")}}},
	} {
		if err := r.Check(); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
