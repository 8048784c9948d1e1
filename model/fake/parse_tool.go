package fake

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

func (p *parser) startTool(rest string) error {
	word, attrs := cutWord(rest)
	name, err := p.name(word, "tool", func(n string) bool {
		return slices.ContainsFunc(p.script.tools, func(t *toolScript) bool { return t.Spec.Name == n })
	})
	if err != nil {
		return err
	}
	t := &toolScript{Tool: Tool{Spec: daruma.ToolSpec{Name: name}, Schema: json.RawMessage(`{"type":"object"}`)}}
	for _, a := range strings.Fields(attrs) {
		if err := p.attribute(t, a); err != nil {
			return err
		}
	}
	p.tool, p.model, p.rule = t, nil, nil
	p.script.tools = append(p.script.tools, t)
	return nil
}

func (p *parser) attribute(t *toolScript, a string) error {
	key, value, given := strings.Cut(a, "=")
	s := &t.Spec
	flags := map[string]*bool{"verify": &s.Verify, "approve": &s.Approve, "replace-write": &s.ReplaceWrite, "dedupe": &t.Dedupe}
	if f, ok := flags[key]; ok && !given {
		*f = true
		return nil
	}
	var err error
	switch {
	case !given:
		key = ""
	case key == "effect":
		err = s.Effect.UnmarshalText([]byte(value))
	case key == "risk":
		err = s.Risk.UnmarshalText([]byte(value))
	case key == "on-doubt":
		err = s.OnDoubt.UnmarshalText([]byte(value))
	case key == "repeat":
		err = s.Repeat.UnmarshalText([]byte(value))
	case key == "capability":
		s.Capability = value
	case key == "alternatives":
		s.Alternatives = strings.Split(value, ",")
	case key == "timeout":
		err = s.Timeout.UnmarshalText([]byte(value))
	default:
		key = ""
	}
	if err != nil {
		return p.fail("%s: %v", a, err)
	}
	if key == "" {
		return p.fail("the attribute is %q; accepted: effect=, risk=, on-doubt=, capability=, alternatives=A,B, timeout=, verify, approve, replace-write, dedupe", a)
	}
	return nil
}

func (p *parser) inTool(word, rest string) error {
	var err error
	switch word {
	case "when", "always":
		return p.startRule(word, rest, &p.tool.rules, toolConds)
	case "description":
		p.tool.Description, err = p.quoted(rest)
		return err
	case "schema":
		if !json.Valid([]byte(rest)) || !strings.HasPrefix(rest, "{") {
			return p.fail("the schema is %s; accepted: a JSON object in one line", rest)
		}
		p.tool.Schema = json.RawMessage(rest)
		return nil
	case "fault", "return", "lie", "error":
	default:
		return p.fail("%q is not known in a tool; accepted: description, schema, when, always, fault, return, lie, error", word)
	}
	r := p.current(&p.tool.rules)
	if word == "fault" {
		return p.fault(r, rest, toolFaults)
	}
	if r.result != nil {
		return p.fail("%s is the second answer of one rule; accepted: one of return, lie, error", word)
	}
	a := &toolReply{body: rest, status: 200, effect: word == "return" && p.tool.Spec.Effect != daruma.Read}
	if word == "error" {
		a.status = 422
		if i := strings.LastIndex(rest, " status="); i >= 0 {
			if a.status, err = strconv.Atoi(rest[i+8:]); err != nil || a.status < 400 || a.status > 599 {
				return p.fail("status is %q; accepted: 400 to 599", rest[i+8:])
			}
			rest = strings.TrimSpace(rest[:i])
		}
		text, err := p.quoted(rest)
		if err != nil {
			return err
		}
		b, _ := json.Marshal(map[string]string{"error": text}) // strings always encode
		a.body = string(b)
	}
	if !json.Valid([]byte(a.body)) {
		return p.fail("%s is %s, which is no JSON; accepted: a JSON value in one line", word, rest)
	}
	r.result = a
	return nil
}

// fault reads `fault KIND option…`.
func (p *parser) fault(r *rule, rest string, kinds []string) error {
	words := strings.Fields(rest)
	if len(words) == 0 {
		return p.fail("fault has no kind; accepted: a status from 400 to 599, %s", strings.Join(kinds, ", "))
	}
	f := &fault{line: p.line, kind: words[0], times: 1, chance: 1, wait: -1, after: -1, max: 30 * time.Second, every: 500 * time.Millisecond}
	if n, err := strconv.Atoi(f.kind); err == nil && n >= 400 && n <= 599 {
		f.kind, f.status = "status", n
	} else if !slices.Contains(kinds, f.kind) {
		return p.fail("fault is %q; accepted: a status from 400 to 599, %s", f.kind, strings.Join(kinds, ", "))
	}
	if f.kind == "dead" {
		f.kind, f.status, f.times = "status", 503, forever
	}
	for _, w := range words[1:] {
		if err := p.option(f, w); err != nil {
			return err
		}
	}
	r.faults = append(r.faults, f)
	return nil
}

func (p *parser) option(f *fault, w string) error {
	key, value, _ := strings.Cut(w, "=")
	var err error
	switch key {
	case "times":
		if value == "forever" {
			f.times = forever
			return nil
		}
		if f.times, err = strconv.Atoi(value); err != nil || f.times < 1 {
			return p.fail("times is %q; accepted: 1 and more, or forever", value)
		}
	case "each":
		f.each = true
	case "chance":
		if f.chance, err = strconv.ParseFloat(value, 64); err != nil || !(f.chance >= 0 && f.chance <= 1) {
			return p.fail("chance is %q; accepted: 0 to 1", value)
		}
	case "retry-after", "retry-after-ms", "retry-after-date":
		f.forms = key
		f.wait, err = p.duration(key, value)
	case "every":
		f.every, err = p.duration(key, value)
	case "for":
		f.max, err = p.duration(key, value)
	case "after":
		if f.after, err = strconv.Atoi(value); err != nil || f.after < 0 {
			return p.fail("after is %q; accepted: a number of pieces, 0 and more", value)
		}
	default:
		return p.fail("the option of a fault is %q; accepted: times=N, times=forever, each, chance=, retry-after=, retry-after-ms=, retry-after-date=, every=, for=, after=", w)
	}
	return err
}
