package detect

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/daruma-run/daruma"
	"github.com/google/go-cmp/cmp"
)

func TestReply(t *testing.T) {
	calls := func(pairs ...string) daruma.Message {
		var m daruma.Message
		for i := 0; i < len(pairs); i += 2 {
			m.Calls = append(m.Calls, daruma.ToolCall{Name: pairs[i], Arguments: pairs[i+1]})
		}
		return m
	}
	text := daruma.Message{Text: "hello"}
	for _, test := range []struct {
		name    string
		message daruma.Message
		finish  daruma.Finish
		want    []string
	}{
		{"text", text, daruma.FinishStop, nil},
		{"large text", daruma.Message{Ref: daruma.Digest{1}}, daruma.FinishStop, nil},
		{"good call", calls("search", `{}`), daruma.FinishTools, nil},
		{"call with finish stop", calls("search", `{}`), daruma.FinishStop, nil},
		{"length", text, daruma.FinishLength, []string{"output_truncated reply truncated/1 the answer ran into its length limit"}},
		{"no finish", text, "", []string{"output_truncated reply truncated/1 the answer ended without saying why"}},
		{"odd finish", text, "pause", []string{`output_truncated reply truncated/1 the answer ended for the unknown reason "pause"`}},
		{"filter", daruma.Message{}, daruma.FinishFilter, []string{"refusal reply refusal/1 the model declined to answer"}},
		{"empty", daruma.Message{Text: " \n"}, daruma.FinishStop, []string{"output_invalid reply empty/1 the answer is empty: neither text nor calls"}},
		{"no calls", daruma.Message{}, daruma.FinishTools, []string{"output_invalid reply empty/1 the answer is empty: neither text nor calls"}},
		{"empty and cut", daruma.Message{}, daruma.FinishLength, []string{"output_truncated reply truncated/1 the answer ran into its length limit"}},
		{"cut call", calls("bad", `{}`, "serch", `{"a`), daruma.FinishLength, []string{
			"output_truncated reply truncated/1 the answer ran into its length limit",
			"arguments_invalid call:0 arguments/1 Arguments of bad: /x is missing; odd",
		}},
		{"several", calls("serch", `{}`, "search", `{}`, "bad", `{}`, "zzz", ``), daruma.FinishTools, []string{
			`tool_unknown call:0 unknown_tool/1 There is no tool "serch". Did you mean "search"? Tools: search, bad.`,
			`tool_unknown call:3 unknown_tool/1 There is no tool "zzz". Tools: search, bad.`,
			"arguments_invalid call:2 arguments/1 Arguments of bad: /x is missing; odd",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			signals, skipped := Reply(ReplyInput{
				Step: "3/1", Message: test.message, Finish: test.finish, Tools: []string{"search", "bad"},
				Nearest: func(name string) string { return map[string]string{"serch": "search", "zzz": "withheld"}[name] },
				Check: func(tool, _ string) []Problem {
					if tool == "bad" {
						return []Problem{{"/x", "is missing"}, {"", "is odd"}}
					}
					return nil
				},
			})
			var got []string
			for _, s := range signals {
				got = append(got, fmt.Sprintf("%v %s %s %s", s.Type, s.Subject, s.Detector, s.Message))
				if d := cmp.Diff([]string{"3/1"}, s.Evidence); d != "" || s.Severity != s.Type.Severity() || s.Recoverable != s.Type.Recoverable() {
					t.Errorf("signal %+v", s)
				}
				if s.Type == daruma.ArgumentsInvalid && s.Path != "/x" {
					t.Errorf("path %q", s.Path)
				}
			}
			if d := cmp.Diff(test.want, got); d != "" || skipped != 0 {
				t.Error(skipped, d)
			}
		})
	}
}

func TestReplyWithoutHelp(t *testing.T) {
	signals, skipped := Reply(ReplyInput{Message: daruma.Message{Calls: []daruma.ToolCall{{Name: "x", Arguments: "{"}}}, Finish: daruma.FinishTools})
	if len(signals) != 1 || skipped != 0 || signals[0].Type != daruma.ToolUnknown {
		t.Errorf("%d skipped, %v", skipped, signals)
	}
}

func TestReplyBoundsText(t *testing.T) {
	long := strings.Repeat("é\xff", 10_000)
	signals, _ := Reply(ReplyInput{
		Message: daruma.Message{Calls: []daruma.ToolCall{{Name: long}, {Name: "t"}}}, Finish: daruma.FinishTools, Tools: []string{"t"},
		Check: func(string, string) []Problem { return []Problem{{long, long}} },
	})
	for _, s := range signals {
		if len(s.Message) > daruma.MaxSignalText || !utf8.ValidString(s.Message) {
			t.Errorf("message of %d bytes", len(s.Message))
		}
	}
}

func TestPanicsAreCounted(t *testing.T) {
	signals, skipped := Reply(ReplyInput{
		Message: daruma.Message{Calls: []daruma.ToolCall{{Name: "t"}}}, Tools: []string{"t"}, Finish: daruma.FinishLength,
		Check: func(string, string) []Problem { panic("x") },
	})
	if skipped != 0 || len(signals) != 1 {
		t.Errorf("a cut call was looked at: %d skipped, %v", skipped, signals)
	}
	signals, skipped = Reply(ReplyInput{
		Message: daruma.Message{Calls: []daruma.ToolCall{{Name: "t"}, {Name: "u"}}}, Tools: []string{"t"}, Finish: daruma.FinishTools,
		Check: func(string, string) []Problem { panic("x") },
	})
	if skipped != 1 || len(signals) != 1 || signals[0].Type != daruma.ToolUnknown {
		t.Errorf("%d skipped, %v", skipped, signals)
	}
	found, kept, skipped := Results(ResultsInput{Calls: []daruma.Call{did("t", "", "")}, Effect: func(string) daruma.Effect { panic("x") }})
	if skipped != 1 || found != nil || kept != "" {
		t.Errorf("%d skipped, %v, mark %q", skipped, found, kept)
	}
}
