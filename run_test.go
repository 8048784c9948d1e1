package daruma_test

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	diff "github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the scripts of testdata print as what they should print")

// golden compares what a script printed with what stands beneath its "----".
func golden(t *testing.T, file string, run func(input string) string) {
	t.Helper()
	b, err := os.ReadFile(file)
	noError(t, err)
	input, want, _ := strings.Cut(string(b), "----\n")
	got := run(input)
	if *update {
		noError(t, os.WriteFile(file, []byte(input+"----\n"+got), 0o644))
		return
	}
	if got != want {
		t.Errorf("%s (-want +got):\n%s", file, diff.Diff(want, got))
	}
}

// TestRun plays testdata/run/*.txt: each line is something the outside does to
// a run, beneath "----" stands what the core made of it. Lines with "·" are
// events the core decided itself, with "→" the commands then outstanding, with
// "=" where the run stands.
func TestRun(t *testing.T) {
	files, _ := filepath.Glob("testdata/run/*.txt")
	if len(files) < 35 {
		t.Fatalf("only %d scripts", len(files))
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			golden(t, file, func(input string) string {
				s := &script{shell: newShell(t, "run_refund"), t: t, keys: map[string]string{}}
				for line := range strings.Lines(input) {
					if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
						s.do(line)
					}
				}
				return s.out.String()
			})
		})
	}
}

// A script is a shell that does what the lines say and writes down what came.
type script struct {
	*shell

	t         testing.TB
	out       strings.Builder
	commands  []daruma.Command
	learned   []daruma.Lesson   // newest first
	asked     []daruma.Approval // every approval ever opened, oldest first
	posts     int
	questions []string          // ids of everything ever asked, oldest first
	keys      map[string]string // idempotency keys by their short names
}

func (s *script) do(line string) {
	s.t.Helper()
	fmt.Fprintf(&s.out, "> %s\n", line)
	words := split(line)
	s.seen = func(e daruma.Event) {
		mark := " "
		if e.Actor == daruma.ActorCore {
			mark = "·"
		}
		if text := s.tell(e); text != "" {
			fmt.Fprintf(&s.out, "  %s %s\n", mark, text)
		}
	}
	s.act(words[0], words[1:])
	s.commands = s.settle()
	for _, c := range s.commands {
		fmt.Fprintf(&s.out, "  → %s\n", s.want(c))
	}
	for _, p := range s.run.Posts() {
		fmt.Fprintf(&s.out, "  ! %s %s to %s %s: %s\n", p.Topic, p.By, p.Run, s.key(p.Key), p.Payload)
	}
	state := s.run.State().String()
	if at := s.run.WakeAt(); !at.IsZero() {
		state += " until +" + at.Sub(epoch).String()
	}
	fmt.Fprintf(&s.out, "  = %s, %d steps\n", state, s.run.Steps())
}

func (s *script) act(verb string, words []string) {
	s.t.Helper()
	switch verb {
	case "start":
		s.start(words)
	case "reply":
		s.reply(words)
	case "judge":
		s.queue(words)
	case "fail":
		s.fail(words)
	case "ok", "failed", "doubt", "absent":
		s.result(verb, words)
	case "fire":
		c, ok := find(s.commands, daruma.OpWait, -1)
		s.must(ok, "nothing waits")
		if s.now.Before(c.Until) {
			s.now = c.Until
		}
		s.commit(daruma.NewEvent(daruma.KindTimer, daruma.ActorShell, daruma.TimerFired{Command: c.ID}))
	case "claim":
		s.commit(daruma.NewEvent(daruma.KindClaimed, "node:b", daruma.Claim{Node: "b", Epoch: 2, Clean: word(words, 0) == "clean"}))
	case "fork":
		s.fork(words)
	case "steps":
		s.listSteps()
	case "later":
		d, err := time.ParseDuration(words[0])
		noError(s.t, err)
		s.now = s.now.Add(d)
	case "approve", "reject":
		s.decide(verb == "approve", words)
	case "answer":
		s.answer(words)
	case "policy":
		s.post(daruma.TopicPolicy, "", payload(daruma.Policy{Limits: limits(s.t, words, "")}))
	case "post":
		body := []byte(cmp.Or(word(words, 1), "{}"))
		if !json.Valid(body) {
			body = payload(string(body))
		}
		s.post(words[0], "", body)
	case "met":
		s.met(words)
	case "messages":
		for _, m := range s.run.Messages() {
			s.message(m)
		}
	case "started":
		i, _ := strconv.Atoi(words[0])
		c, ok := find(s.commands, daruma.OpStartRun, i)
		s.must(ok, "no sub-run is being started")
		s.commit(daruma.NewEvent(daruma.KindChild, daruma.ActorShell, daruma.ChildStarted{Command: c.ID, Call: i, Run: c.Child}))
	case "child":
		s.child(words)
	case "cancel":
		s.post(daruma.TopicCancel, "", payload(daruma.Reason{Text: "enough", Compensate: word(words, 0) == "compensate"}))
	case "late":
		s.late(words)
	case "effects":
		for _, e := range s.run.Effects() {
			fmt.Fprintf(&s.out, "    %s %s: %s, %s\n", e.Step, e.Tool, e.State, s.key(e.Key))
		}
	case "falls":
		for _, f := range s.run.Falls() {
			names := []string{}
			for _, m := range f.Moves {
				names = append(names, m.Remedy.String())
			}
			fmt.Fprintf(&s.out, "    %s of %s in %s: %s; over %v, caught %v\n", f.Type, f.Subject, f.Step, strings.Join(names, ", "), f.Over, f.Caught)
		}
	case "lessons":
		for _, l := range s.run.Lessons() {
			s.learned = append([]daruma.Lesson{l}, s.learned...)
			fmt.Fprintf(&s.out, "    %s of %s at %q with %s: %s; worked: %s\n", l.Signal, l.Tool, l.Path, l.Failed, l.Finding, l.Worked)
		}
	case "again":
		taught := daruma.Useful(s.learned, nil, 5)
		s.shell = newShell(s.t, "run_again")
		s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", daruma.Started{Agent: "refund", Models: []string{"primary"}, Nonce: "nonce", Lessons: taught,
			Input: daruma.Message{Role: daruma.RoleUser, Text: "Refund order 2"}}))
	case "withheld":
		fmt.Fprintf(&s.out, "    %q\n", s.run.Withheld())
	default:
		s.t.Fatalf("verb %q is unknown", verb)
	}
}

func (s *script) must(ok bool, what string) {
	s.t.Helper()
	if !ok {
		s.t.Fatalf("%s; so far:\n%s", what, s.out.String())
	}
}

func (s *script) start(words []string) {
	st := daruma.Started{Agent: "refund", Models: []string{"primary"}, Nonce: "nonce", Limits: limits(s.t, words, "limits."),
		Instructions: "You refund.", Input: daruma.Message{Role: daruma.RoleUser, Text: "Refund order 1"}}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "models":
			st.Models = strings.Split(value, ",")
		case "input":
			st.Input.Text = value
		case "lower":
			st.Lowered = lowered(s.t, value)
		case "compact":
			noError(s.t, st.Compact.UnmarshalText([]byte(value)))
		case "windows": // windows=primary:1000,backup:4000
			st.Windows = map[string]int64{}
			for pair := range strings.SplitSeq(value, ",") {
				model, tokens, _ := strings.Cut(pair, ":")
				st.Windows[model], _ = strconv.ParseInt(tokens, 10, 64)
			}
		case "tools":
			for tool := range strings.SplitSeq(value, ",") {
				st.Tools = append(st.Tools, toolOf(s.t, tool))
			}
		case "depth":
			n, _ := strconv.Atoi(value)
			st.Parent = &daruma.Parent{Run: "run_parent", Key: "key of the parent", Depth: n}
		case "abort":
			st.Ladder.Default = []daruma.Rung{{Remedy: daruma.Abort, Compensate: value == "compensate"}}
			st.Ladder.Rungs = map[daruma.SignalType][]daruma.Rung{daruma.UnknownOutcome: daruma.DefaultLadder().Rungs[daruma.UnknownOutcome]}
		case "without":
			var r daruma.Remedy
			noError(s.t, r.UnmarshalText([]byte(value)))
			st.Ladder = daruma.DefaultLadder().Without(r)
		}
	}
	s.commit(daruma.NewEvent(daruma.KindStarted, "user:ann", st))
}

// toolOf reads "refund:payment:ask:approve", "search:read:cap=find".
func toolOf(t testing.TB, text string) daruma.ToolSpec {
	parts := strings.Split(text, ":")
	spec := daruma.ToolSpec{Name: parts[0]}
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		switch name {
		case "ask", "verify", "retry", "abort":
			noError(t, spec.OnDoubt.UnmarshalText([]byte(name)))
			spec.Verify = name == "verify"
		case "approve":
			spec.Approve = true
		case "replace_write":
			spec.ReplaceWrite = true
		case "agent":
			spec.Agent = value
		case "undo": // undo=TOOL, or with a mapping undo=TOOL/id~$result.booking;why~undone
			by, pairs, mapped := strings.Cut(value, "/")
			spec.Compensate = &daruma.Compensation{Tool: by}
			args := map[string]string{}
			for pair := range strings.SplitSeq(pairs, ";") {
				key, from, _ := strings.Cut(pair, "~")
				if path, ok := strings.CutPrefix(from, "$"); ok {
					from = "${" + path + "}"
				}
				args[key] = from
			}
			if mapped {
				spec.Compensate.Args = payload(args)
			}
		case "repeat":
			noError(t, spec.Repeat.UnmarshalText([]byte(value)))
		case "cap":
			spec.Capability = value
		case "alt":
			spec.Alternatives = append(spec.Alternatives, value)
		case "risk":
			noError(t, spec.Risk.UnmarshalText([]byte(value)))
		default:
			noError(t, spec.Effect.UnmarshalText([]byte(name)))
		}
	}
	return spec
}

// limits reads "steps=10", "time=1m", "money=0.5" behind a prefix.
func limits(t testing.TB, words []string, prefix string) daruma.Limits {
	var l daruma.Limits
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		name, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		n, _ := strconv.Atoi(value)
		d, _ := time.ParseDuration(value)
		switch name {
		case "steps":
			l.Steps = n
		case "tokens":
			l.Tokens = int64(n)
		case "time":
			l.Time = daruma.Duration(d)
		case "approval_time":
			l.ApprovalTime = daruma.Duration(d)
		case "money":
			m, err := daruma.ParseMoney(value)
			noError(t, err)
			l.Money = m
		case "soft":
			l.Soft, _ = strconv.ParseFloat(value, 64)
		case "parallel":
			l.Parallel = n
		case "claims":
			l.Claims = n
		case "depth":
			l.Depth = n
		case "reflections":
			l.Reflections = n
		case "approve":
			noError(t, l.Approve.UnmarshalText([]byte(value)))
		}
	}
	return l
}

func (s *script) reply(words []string) {
	c, ok := find(s.commands, daruma.OpCallModel, -1)
	s.must(ok, "no model is being asked")
	p := daruma.Replied{Command: c.ID, Target: c.Target, Message: daruma.Message{Role: daruma.RoleAssistant}, Finish: daruma.FinishStop,
		Usage: daruma.Usage{Input: 10, Output: 5}}
	for i := 0; i < len(words); i++ {
		name, value, _ := strings.Cut(words[i], "=")
		switch name {
		case "say":
			i++
			p.Message.Text = words[i]
		case "call":
			id := fmt.Sprintf("c%d", len(p.Message.Calls))
			p.Message.Calls = append(p.Message.Calls, daruma.ToolCall{ID: id, Name: words[i+1], Arguments: words[i+2]})
			p.Finish = daruma.FinishTools
			i += 2
		case "tokens":
			n, _ := strconv.Atoi(value)
			p.Usage = daruma.Usage{Input: int64(n)}
		case "cost":
			p.Cost, _ = daruma.ParseMoney(value)
		case ";":
		default:
			s.t.Fatalf("reply: %q", words[i])
		}
	}
	s.commit(daruma.NewEvent(daruma.KindReplied, daruma.ActorShell, p))
}

// queue reads "judge reply|results SIGNAL SUBJECT TEXT [severity=…] [kind=…]".
func (s *script) queue(words []string) {
	sig := daruma.Signal{Subject: words[2], Message: words[3], Detector: "script/1", Evidence: []string{fmt.Sprintf("%d/1", s.run.Turn())}}
	noError(s.t, sig.Type.UnmarshalText([]byte(words[1])))
	sig.Severity, sig.Recoverable = sig.Type.Severity(), sig.Type.Recoverable()
	for _, w := range words[4:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "severity":
			noError(s.t, sig.Severity.UnmarshalText([]byte(value)))
		case "path":
			sig.Path = value
		case "fix":
			sig.Fix = value
		case "near":
			sig.Near = value
		}
	}
	s.judge = append(s.judge, finding{words[0], sig})
}

func (s *script) fail(words []string) {
	c, ok := find(s.commands, daruma.OpCallModel, -1)
	s.must(ok, "no model is being asked")
	p := daruma.ModelFailed{Command: c.ID, Target: c.Target, Text: "it failed"}
	noError(s.t, p.Kind.UnmarshalText([]byte(words[0])))
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "text":
			p.Text = value
		case "retry_after":
			noError(s.t, p.RetryAfter.UnmarshalText([]byte(value)))
		}
	}
	s.commit(daruma.NewEvent(daruma.KindModelFailed, daruma.ActorShell, p))
}

func (s *script) result(verb string, words []string) {
	i, err := strconv.Atoi(words[0])
	noError(s.t, err)
	c, ok := find(s.commands, daruma.OpCallTool, i)
	if !ok {
		c, ok = find(s.commands, daruma.OpVerify, i)
	}
	if !ok {
		c, ok = find(s.commands, daruma.OpStartRun, i)
	}
	s.must(ok, "call "+words[0]+" is not out")
	p := daruma.ToolReplied{Command: c.ID, Call: i, Tool: c.Tool}
	switch verb {
	case "ok":
		p.Outcome, p.Text = daruma.Succeeded, long(word(words, 1))
		if size, ok := strings.CutPrefix(word(words, 2), "ref="); ok { // of a large result only the beginning is in the event
			p.Size, err = strconv.ParseInt(size, 10, 64)
			noError(s.t, err)
			p.Ref = daruma.DigestOf([]byte(size))
		}
	case "absent":
		p.Outcome = daruma.Absent
	case "doubt":
		p.Kind, p.Text = daruma.KindDoubt, "the connection was lost"
	case "failed":
		p.Outcome, p.Text = daruma.Failed, word(words, 2)
		noError(s.t, p.Kind.UnmarshalText([]byte(words[1])))
		for _, w := range words[min(3, len(words)):] {
			name, value, _ := strings.Cut(w, "=")
			switch name {
			case "path":
				p.Path = value
			case "retry_after":
				noError(s.t, p.Retry.UnmarshalText([]byte(value)))
			}
		}
	}
	s.commit(daruma.NewEvent(daruma.KindToolReplied, daruma.ActorShell, p))
}

// decide reads "approve N [hash=wrong]" and "reject N WHY"; N counts approvals
// from 0 as they were opened.
func (s *script) decide(yes bool, words []string) {
	i, err := strconv.Atoi(cmp.Or(word(words, 0), "0"))
	noError(s.t, err)
	s.must(i < len(s.asked), "no such approval")
	a := s.asked[i]
	d := daruma.Decision{Approve: yes, Hash: a.Hash, Reason: word(words, 1)}
	if d.Reason == "hash=wrong" {
		d.Reason, d.Hash = "", daruma.DigestOf([]byte("other arguments"))
	}
	s.post(daruma.TopicApproval, a.ID, payload(d))
}

// answer reads "answer CHOICE TEXT [to=N]": to the question that is open, or to
// the N-th that was ever asked, from 0; to=none names none.
func (s *script) answer(words []string) {
	a := daruma.Answer{Choice: words[0]}
	if p := s.run.Parked(); p != nil {
		a.Question = p.ID
	}
	for _, w := range words[1:] {
		to, ok := strings.CutPrefix(w, "to=")
		switch i, err := strconv.Atoi(to); {
		case !ok:
			a.Text = w
		case to == "none":
			a.Question = ""
		default:
			noError(s.t, err)
			s.must(i < len(s.questions), "no such question")
			a.Question = s.questions[i]
		}
	}
	s.post(daruma.TopicAnswer, "", payload(a))
}

// child reads "child N STATE TEXT [steps=] [tokens=] [cost=] [time=] [missing=]
// [standing=] [ref=] [run=] [by=] [key=]": the sub-run of the N-th effect has ended.
func (s *script) child(words []string) {
	i, err := strconv.Atoi(words[0])
	noError(s.t, err)
	e := s.run.Effects()[i]
	end := daruma.ChildResult{Run: daruma.RunID(fmt.Sprintf("%s.%d.%d", s.id, e.Turn, e.Call+1)), Key: e.Key, Text: word(words, 2)}
	noError(s.t, end.State.UnmarshalText([]byte(words[1])))
	by := daruma.ActorRun(end.Run)
	for _, w := range words[min(3, len(words)):] {
		name, value, _ := strings.Cut(w, "=")
		n, _ := strconv.Atoi(value)
		switch name {
		case "steps":
			end.Steps = n
		case "tokens":
			end.Usage.Input = int64(n)
		case "cost":
			end.Cost, err = daruma.ParseMoney(value)
		case "time":
			err = end.Active.UnmarshalText([]byte(value))
		case "missing":
			end.Missing = []string{value}
		case "standing":
			end.Standing = []string{value}
		case "ref":
			end.Ref = daruma.DigestOf([]byte(value))
		case "run":
			end.Run = daruma.RunID(value)
			by = daruma.ActorRun(end.Run)
		case "by":
			by = daruma.Actor(value)
		case "key":
			end.Key = value
		}
		noError(s.t, err)
	}
	s.posts++
	s.receive(daruma.Post{Topic: daruma.TopicChild, Key: e.Key, Payload: payload(end), By: by})
}

// late reads "late N success|failure|absent [TEXT]": somebody outside says what
// became of the N-th effect of the run.
func (s *script) late(words []string) {
	st := daruma.Settlement{Key: words[0], Text: word(words, 2)}
	if i, err := strconv.Atoi(words[0]); err == nil {
		st.Key = s.run.Effects()[i].Key
	}
	noError(s.t, st.Outcome.UnmarshalText([]byte(words[1])))
	s.post(daruma.TopicResult, "", payload(st))
}

func (s *script) post(topic, key string, body []byte) {
	s.posts++
	s.receive(daruma.Post{Topic: topic, Key: cmp.Or(key, strconv.Itoa(s.posts)), Payload: body, By: "user:bob"})
}

// lowered reads "other_model:target=backup", "other_tool:tools=a/b",
// "partial:without=mail", "static".
func lowered(t testing.TB, text string) *daruma.Lowered {
	parts := strings.Split(text, ":")
	l := &daruma.Lowered{Why: "said so"}
	noError(t, l.Level.UnmarshalText([]byte(parts[0])))
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		switch name {
		case "target":
			l.Target = value
		case "tools":
			from, to, _ := strings.Cut(value, "/")
			l.Tools = map[string]string{from: to}
		case "without":
			l.Without = strings.Split(value, "+")
		}
	}
	return l
}

// long reads "300*text" as the text, repeated to so many bytes.
func long(text string) string {
	times, part, ok := strings.Cut(text, "*")
	n, err := strconv.Atoi(times)
	if !ok || err != nil || part == "" {
		return text
	}
	return strings.Repeat(part, n/len(part)+1)[:n]
}

func word(words []string, i int) string {
	if i < len(words) {
		return words[i]
	}
	return ""
}

// split cuts a line into words. Quoted text is one word without its quotes, as
// is the quoted value of name="value"; JSON keeps its quotes.
func split(line string) []string {
	var words []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " ") {
		quoted, depth, end := false, 0, len(line)
		for i, c := range line {
			switch {
			case c == '"' && (i == 0 || line[i-1] != '\\'):
				quoted = !quoted
			case c == '{' && !quoted:
				depth++
			case c == '}' && !quoted:
				depth--
			}
			if c == ' ' && !quoted && depth == 0 {
				end = i
				break
			}
		}
		w := line[:end]
		line = line[end:]
		name, value, ok := strings.Cut(w, "=")
		if text, err := strconv.Unquote(w); err == nil {
			w = text
		} else if text, err := strconv.Unquote(value); ok && err == nil {
			w = name + "=" + text
		}
		words = append(words, w)
	}
	return words
}

func TestSplit(t *testing.T) {
	got := split(`reply say "a b" call x {"id": "1 2"} ; text="c \"d\"" e`)
	want := []string{"reply", "say", "a b", "call", "x", `{"id": "1 2"}`, ";", `text=c "d"`, "e"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
