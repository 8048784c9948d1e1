package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// ReplyInput is what [Reply] looks at.
type ReplyInput struct {
	Step    string // "turn/n" of the answer
	Message daruma.Message
	Finish  daruma.Finish
	Tools   []string // names of the tools that were offered
	// Nearest returns the tool that was probably meant by a name, or "". May
	// be nil.
	Nearest func(name string) string
	// Undone are the tools with an effect that were offered and have not been
	// called with success in the run. None switches the detector of claims off.
	Undone []string
	// Seen reports whether a result of the run speaks of a word, in lower case;
	// of the empty word, whether there is any result. May be nil.
	Seen func(word string) bool
	// Check returns what is wrong with the arguments of a call. May be nil.
	Check func(tool, arguments string) []Problem
	// Repair returns invalid arguments mended in shape so that they are valid,
	// "" where that cannot be done. May be nil.
	Repair func(tool, arguments string) string
}

// Problem is one thing that is wrong with arguments.
type Problem struct {
	Path string // JSON pointer; empty for the whole
	Text string // begins with a verb: "is missing; it is required"
}

// Reply returns what is wrong with an answer of a model, and how many
// detectors were skipped because they panicked. The package documentation
// lists the detectors. Signals about a call have the subject of that call, all
// others [daruma.SubjectReply].
func Reply(in ReplyInput) (signals []daruma.Signal, skipped int) {
	return tried(in.refusal, in.truncated, in.empty, in.unknown, in.arguments, in.claim)
}

func (in ReplyInput) about(t daruma.SignalType, detector, format string, args ...any) []daruma.Signal {
	return []daruma.Signal{signal(t, detector, daruma.SubjectReply, []string{in.Step}, format, args...)}
}

func (in ReplyInput) refusal() []daruma.Signal {
	if in.Finish != daruma.FinishFilter {
		return nil
	}
	s := in.about(daruma.Refusal, "refusal/1", "the model declined to answer")
	s[0].Kind, s[0].Cause = daruma.KindRefused, daruma.KindRefused.Cause()
	return s
}

// whole reports whether the finish says that the answer is complete.
func (in ReplyInput) whole() bool {
	return in.Finish == daruma.FinishStop || in.Finish == daruma.FinishTools || in.Finish == daruma.FinishFilter
}

func (in ReplyInput) truncated() []daruma.Signal {
	switch {
	case in.whole():
		return nil
	case in.Finish == daruma.FinishLength:
		return in.about(daruma.OutputTruncated, "truncated/1", "the answer ran into its length limit")
	case in.Finish == "":
		return in.about(daruma.OutputTruncated, "truncated/1", "the answer ended without saying why")
	}
	return in.about(daruma.OutputTruncated, "truncated/1", "the answer ended for the unknown reason %q", head(string(in.Finish), 60))
}

func (in ReplyInput) empty() []daruma.Signal {
	m := in.Message
	if !in.whole() || in.Finish == daruma.FinishFilter || len(m.Calls) > 0 || !m.Ref.IsZero() || strings.TrimSpace(m.Text) != "" {
		return nil
	}
	return in.about(daruma.OutputInvalid, "empty/1", "the answer is empty: neither text nor calls")
}

// calls yields the calls that came whole.
func (in ReplyInput) calls(yield func(int, daruma.ToolCall) bool) {
	n := len(in.Message.Calls)
	if !in.whole() {
		n--
	}
	for i := range n {
		if !yield(i, in.Message.Calls[i]) {
			return
		}
	}
}

func (in ReplyInput) unknown() (found []daruma.Signal) {
	for i, c := range in.calls {
		if slices.Contains(in.Tools, c.Name) {
			continue
		}
		hint, meant := "", ""
		if in.Nearest != nil {
			if near := in.Nearest(c.Name); near != "" && near != c.Name && slices.Contains(in.Tools, near) {
				hint, meant = fmt.Sprintf(" Did you mean %q?", near), near
			}
		}
		s := signal(daruma.ToolUnknown, "unknown_tool/1", daruma.CallSubject(i), []string{in.Step},
			"There is no tool %q.%s Tools: %s.", head(c.Name, 80), hint, names(in.Tools))
		s.Kind, s.Cause, s.Near = daruma.KindNotFound, daruma.CausePermanent, meant
		found = append(found, s)
	}
	return found
}

// names joins the names of tools, a long list not to its end.
func names(tools []string) string {
	const most = 20
	switch n := len(tools); {
	case n == 0:
		return "none"
	case n > most:
		return strings.Join(tools[:most], ", ") + fmt.Sprintf(" and %d more", n-most)
	}
	return strings.Join(tools, ", ")
}

func (in ReplyInput) arguments() (found []daruma.Signal) {
	if in.Check == nil {
		return nil
	}
	for i, c := range in.calls {
		if !slices.Contains(in.Tools, c.Name) {
			continue
		}
		problems := in.Check(c.Name, c.Arguments)
		if len(problems) == 0 {
			continue
		}
		var texts []string
		for _, p := range problems {
			if p.Path == "" {
				texts = append(texts, strings.TrimPrefix(p.Text, "is "))
				continue
			}
			texts = append(texts, p.Path+" "+p.Text)
		}
		s := signal(daruma.ArgumentsInvalid, "arguments/1", daruma.CallSubject(i), []string{in.Step},
			"Arguments of %s: %s", c.Name, strings.Join(texts, "; "))
		s.Kind, s.Cause, s.Path = daruma.KindInvalid, daruma.KindInvalid.Cause(), problems[0].Path
		if in.Repair != nil && in.whole() {
			s.Fix = in.Repair(c.Name, c.Arguments)
		}
		found = append(found, s)
	}
	return found
}
