package darumatest

import (
	"encoding"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// ReadPlan reads the text of a plan; see [Plan] for its lines. Text behind a #
// is for people. Lines about a run the plan does not have are left out. Errors
// are of KindInvalid and name the line.
func ReadPlan(text string) (*Plan, error) {
	p := &Plan{seed: "0", nodes: 1, workers: 8, ordinal: map[string]line{}}
	for l := range strings.Lines(text) {
		l, _, _ = strings.Cut(l, "#")
		words := line(strings.Fields(l))
		if len(words) == 0 {
			continue
		}
		known, err := p.read(words)
		if err != nil {
			return nil, daruma.Fail("darumatest.ReadPlan", daruma.KindInvalid, "line %q: %w", words, err)
		}
		if known {
			p.lines = append(p.lines, words)
		}
	}
	if len(p.models) == 0 {
		p.models = []string{"m0"}
	}
	return p, nil
}

// read takes one line in. It reports false for one that means nothing here.
func (p *Plan) read(l line) (known bool, err error) {
	f := fields{line: l}
	switch l[0] {
	case "seed":
		p.seed = l.word(1)
	case "process":
		p.nodes, p.workers = max(f.count("nodes"), 1), max(f.count("workers"), 1)
	case "limits":
		p.limits = daruma.Limits{Steps: f.count("steps"), Time: f.duration("time"), Tokens: int64(f.count("tokens")),
			Reflections: f.count("reflections"), Parallel: f.count("parallel"), Claims: f.count("claims"),
			Depth: f.count("depth"), ApprovalTime: f.duration("approval_time"), ModelTime: f.duration("model_time")}
		f.text("approve", &p.limits.Approve)
	case "models":
		p.models = l[1:]
	case "tool":
		p.tools = append(p.tools, f.tool())
	case "agent":
		p.agents = append(p.agents, &script{id: daruma.RunID(l.word(1))})
	case "ladder":
		p.undo = l.has("undo")
	case "run":
		p.runs = append(p.runs, &script{id: daruma.RunID(l.word(1)), at: time.Duration(f.duration("at"))})
	case "turn", "post", "model", "call", "approve", "answer", "poison":
		s := p.run(l.word(1))
		if s == nil {
			return false, nil
		}
		switch l[0] {
		case "turn":
			s.turns = append(s.turns, l[2:])
		case "post":
			s.posts = append(s.posts, l)
			f.duration("at")
		case "poison":
			p.ordinal["poison "+l.word(1)] = l
		default:
			p.ordinal[strings.Join(l[:min(3, len(l))], " ")] = l
		}
	case "disk", "claim", "die":
		p.ordinal[strings.Join(l[:min(2, len(l))], " ")] = l
	case "fork":
		if p.run(l.word(1)) == nil {
			return false, nil
		}
		p.timed = append(p.timed, l)
		f.duration("at")
	case "stall", "expire", "drain", "clock":
		p.timed = append(p.timed, l)
		f.duration("at")
	default:
		return false, daruma.Fail("", daruma.KindInvalid, "%q is unknown; accepted are the verbs of Plan", l[0])
	}
	return true, f.err
}

// fields reads the fields of a line, and keeps the first error.
type fields struct {
	line
	err error
}

func (f *fields) count(name string) int {
	text := f.field(name)
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil && f.err == nil {
		f.err = daruma.Fail("", daruma.KindInvalid, "%s is %q; accepted: a whole number", name, text)
	}
	return n
}

func (f *fields) duration(name string) daruma.Duration {
	var d daruma.Duration
	if text := f.field(name); text != "" {
		f.text(name, &d)
	}
	return d
}

func (f *fields) text(name string, v encoding.TextUnmarshaler) {
	text := f.field(name)
	if text == "" {
		return
	}
	if err := v.UnmarshalText([]byte(text)); err != nil && f.err == nil {
		f.err = err
	}
}

func (f *fields) tool() daruma.ToolSpec {
	t := daruma.ToolSpec{Name: f.word(1), Capability: f.field("capability"), Verify: f.has("verify"), Approve: f.has("approve"),
		ReplaceWrite: f.has("replace_write"), Timeout: f.duration("timeout"), Agent: f.field("agent")}
	if t.Agent != "" {
		t.Effect = daruma.Keyed
	}
	f.text("effect", &t.Effect)
	f.text("risk", &t.Risk)
	f.text("on_doubt", &t.OnDoubt)
	f.text("repeat", &t.Repeat)
	if tool := f.field("compensate"); tool != "" {
		t.Compensate = &daruma.Compensation{Tool: tool} // with the same arguments
	}
	if names := f.field("alternatives"); names != "" {
		t.Alternatives = strings.Split(names, ",")
	}
	return t
}

// duration returns a field of a line that has been read.
func (l line) duration(name string) time.Duration {
	f := fields{line: l}
	return time.Duration(f.duration(name))
}

// count returns a field of a line that has been read.
func (l line) count(name string) int {
	f := fields{line: l}
	return f.count(name)
}

// without returns the plan less some of its lines, nil where it cannot be read.
func (p *Plan) without(from, to int) *Plan {
	less := Plan{lines: slices.Concat(p.lines[:from], p.lines[to:])}
	q, err := ReadPlan(less.String())
	if err != nil {
		return nil
	}
	return q
}
