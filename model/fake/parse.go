package fake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// MaxScript bounds a script in bytes.
const MaxScript = 4 << 20

// Parse reads a script. Errors are of [daruma.KindInvalid] and name the line,
// what stands there and what is accepted.
func Parse(text []byte) (*Script, error) {
	p := &parser{script: &Script{seed: 1}}
	if len(text) > MaxScript {
		return nil, p.fail("the script has %d bytes; accepted: up to %d", len(text), MaxScript)
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	for line := range bytes.Lines(text) {
		p.line++
		s := strings.TrimSpace(string(line))
		if s == "" || s[0] == '#' {
			continue
		}
		if err := p.statement(s); err != nil {
			return nil, err
		}
	}
	if len(p.script.models) == 0 && len(p.script.tools) == 0 {
		return nil, p.fail("the script is empty; accepted: at least one model or tool")
	}
	return p.script, nil
}

type parser struct {
	script *Script
	line   int
	model  *modelScript
	tool   *toolScript
	rule   *rule
}

func (p *parser) fail(format string, args ...any) error {
	return daruma.Fail("fake.Parse", daruma.KindInvalid, "line %d: %s", p.line, fmt.Sprintf(format, args...))
}

func (p *parser) statement(s string) error {
	word, rest := cutWord(s)
	switch word {
	case "seed":
		n, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return p.fail("seed is %q; accepted: a whole number", rest)
		}
		p.script.seed = n
		return nil
	case "model":
		return p.startModel(rest)
	case "tool":
		return p.startTool(rest)
	}
	switch {
	case p.model != nil:
		return p.inModel(word, rest)
	case p.tool != nil:
		return p.inTool(word, rest)
	}
	return p.fail("%q stands before any model or tool; accepted: seed, model, tool", word)
}

func (p *parser) name(rest, what string, taken func(string) bool) (string, error) {
	if rest == "" || strings.ContainsAny(rest, " \t\"/?#%") {
		return "", p.fail("the name of a %s is %q; accepted: one word without \" / ? # %%", what, rest)
	}
	if taken(rest) {
		return "", p.fail("%s %s stands here for the second time; accepted: every name once", what, rest)
	}
	return rest, nil
}

func (p *parser) startModel(rest string) error {
	name, err := p.name(rest, "model", func(n string) bool { return slices.Contains(p.script.Models(), n) })
	if err != nil {
		return err
	}
	p.model, p.tool, p.rule = &modelScript{name: name}, nil, nil
	p.script.models = append(p.script.models, p.model)
	return nil
}

func (p *parser) inModel(word, rest string) error {
	if word == "when" || word == "always" {
		return p.startRule(word, rest, &p.model.rules, modelConds)
	}
	r := p.current(&p.model.rules)
	if word == "fault" {
		return p.fault(r, rest, modelFaults)
	}
	if r.reply == nil {
		r.reply = &reply{in: -1, out: -1, quirks: make(map[string]bool)}
	}
	a := r.reply
	var err error
	switch word {
	case "say":
		var text string
		if text, err = p.quoted(rest); err == nil {
			a.text += text
		}
	case "think":
		var text string
		if text, err = p.quoted(rest); err == nil {
			a.think += text
		}
	case "call", "raw-args":
		name, args := cutWord(rest)
		if name == "" {
			return p.fail("%s names no tool; accepted: %s TOOL ARGUMENTS", word, word)
		}
		if args == "" && word == "call" {
			args = "{}"
		}
		if word == "call" && !json.Valid([]byte(args)) {
			return p.fail("the arguments of %s are %s, which is no JSON; accepted: a JSON value, or raw-args for anything", name, args)
		}
		a.calls = append(a.calls, scriptCall{name, args})
	case "finish":
		if !slices.Contains(finishNames, rest) {
			return p.fail("finish is %q; accepted: %s", rest, strings.Join(finishNames, ", "))
		}
		a.finish = rest
	case "usage":
		err = p.usage(a, rest)
	case "delay":
		a.delay, err = p.duration(word, rest)
	case "drip":
		a.drip, err = p.duration(word, rest)
	case "quirk":
		for _, q := range strings.Fields(rest) {
			if !slices.Contains(quirkNames, q) {
				return p.fail("quirk is %q; accepted: %s", q, strings.Join(quirkNames, ", "))
			}
			a.quirks[q] = true
		}
	default:
		return p.fail("%q is not known in a model; accepted: when, always, fault, say, think, call, raw-args, finish, usage, delay, drip, quirk", word)
	}
	return err
}

func (p *parser) usage(a *reply, rest string) error {
	if rest == "none" {
		a.silent = true
		return nil
	}
	for _, f := range strings.Fields(rest) {
		key, value, _ := strings.Cut(f, "=")
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n < 0 || key != "in" && key != "out" {
			return p.fail("usage is %q; accepted: none, or in=TOKENS out=TOKENS", rest)
		}
		if key == "in" {
			a.in = n
		} else {
			a.out = n
		}
	}
	return nil
}

// current returns the rule that lines belong to; lines before the first
// condition belong to a rule that always holds.
func (p *parser) current(rules *[]*rule) *rule {
	if p.rule == nil {
		p.rule = &rule{line: p.line}
		*rules = append(*rules, p.rule)
	}
	return p.rule
}

func (p *parser) startRule(word, rest string, rules *[]*rule, words []string) error {
	r := &rule{line: p.line}
	if word == "always" && rest != "" {
		return p.fail("%q stands behind always; accepted: nothing", rest)
	}
	if word == "when" {
		var err error
		if r.conds, err = p.conds(rest, words); err != nil {
			return err
		}
	}
	*rules = append(*rules, r)
	p.rule = r
	return nil
}

func (p *parser) quoted(s string) (string, error) {
	text, err := strconv.Unquote(s)
	if err != nil {
		return "", p.fail(`%s is not a text; accepted: one text in "double quotes", with \n and \" inside`, s)
	}
	return text, nil
}

func (p *parser) duration(what, s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if n, e := strconv.ParseFloat(s, 64); err != nil && e == nil && n >= 0 && n <= 1e6 {
		d, err = time.Duration(n*float64(time.Second)), nil // a bare number is seconds
	}
	if err != nil || d < 0 {
		return 0, p.fail("%s is %q; accepted: a duration such as 200ms, 1.5s or 2m", what, s)
	}
	return d, nil
}

func cutWord(s string) (word, rest string) {
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}
