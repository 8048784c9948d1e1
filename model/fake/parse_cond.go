package fake

import (
	"slices"
	"strconv"
	"strings"
)

// Words that conditions begin with.
var (
	modelConds = []string{"turn", "last", "note", "any", "input", "system", "called", "result", "tools"}
	toolConds  = []string{"call", "args", "arg", "key"}
)

// conds reads what stands behind `when`: conditions joined by `and`.
func (p *parser) conds(s string, words []string) ([]cond, error) {
	var all []cond
	tokens, err := p.tokens(s)
	if err != nil {
		return nil, err
	}
	for start := 0; start <= len(tokens); {
		end := start
		for end < len(tokens) && tokens[end] != "and" {
			end++
		}
		c, err := p.cond(tokens[start:end], words)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		start = end + 1
	}
	return all, nil
}

// tokens splits at spaces; a quoted text is one token and keeps its quotes.
func (p *parser) tokens(s string) ([]string, error) {
	var out []string
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '"' {
			q, err := strconv.QuotedPrefix(s)
			if err != nil {
				return nil, p.fail(`%s is not a text; accepted: a text in "double quotes"`, s)
			}
			out, s = append(out, q), s[len(q):]
			continue
		}
		word, rest := cutWord(s)
		out, s = append(out, word), rest
	}
	return out, nil
}

func (p *parser) cond(t, words []string) (cond, error) {
	var c cond
	if len(t) > 0 && t[0] == "not" {
		c.not, t = true, t[1:]
	}
	if len(t) == 0 || !slices.Contains(words, t[0]) {
		return c, p.fail("the condition is %q; accepted: [not] %s", strings.Join(t, " "), strings.Join(words, ", "))
	}
	c.word = t[0]
	rest := t[1:]
	bad := func(accepted string) (cond, error) {
		return c, p.fail("the condition is %q; accepted: %s", strings.Join(t, " "), accepted)
	}
	contains := func(rest []string, accepted string) (cond, error) {
		if len(rest) != 2 || rest[0] != "contains" {
			return bad(accepted)
		}
		text, err := p.quoted(rest[1])
		c.text = strings.ToLower(text)
		return c, err
	}
	switch c.word {
	case "turn", "call":
		if len(rest) == 1 && parseSpan(rest[0], &c.span) {
			return c, nil
		}
		return bad(c.word + " 2, " + c.word + " 2..4, " + c.word + " 2+, " + c.word + " odd, " + c.word + " even")
	case "note", "any", "input", "system", "args":
		return contains(rest, c.word+` contains "TEXT"`)
	case "last":
		const accepted = `last contains "TEXT", last user [contains "TEXT"], last tool [NAME] [contains "TEXT"]`
		if len(rest) > 0 && (rest[0] == "user" || rest[0] == "tool") {
			c.place, rest = rest[0], rest[1:]
			if c.place == "tool" && len(rest) > 0 && rest[0] != "contains" {
				c.name, rest = rest[0], rest[1:]
			}
			if len(rest) == 0 {
				return c, nil
			}
		}
		return contains(rest, accepted)
	case "called":
		c.span = span{from: 1, to: -1}
		if len(rest) == 1 || len(rest) == 2 && parseSpan(rest[1], &c.span) {
			c.name = rest[0]
			return c, nil
		}
		return bad("called TOOL, called TOOL 2, called TOOL 2+")
	case "result":
		if len(rest) == 0 {
			return bad(`result TOOL [contains "TEXT"]`)
		}
		c.name = rest[0]
		if len(rest) == 1 {
			return c, nil
		}
		return contains(rest[1:], `result TOOL [contains "TEXT"]`)
	case "tools":
		if len(rest) != 2 || rest[0] != "have" && rest[0] != "lack" {
			return bad("tools have NAME, tools lack NAME")
		}
		c.name, c.not = rest[1], c.not != (rest[0] == "lack")
	case "arg":
		if len(rest) != 3 || rest[1] != "is" {
			return bad(`arg PATH is "TEXT"`)
		}
		text, err := p.quoted(rest[2])
		c.name, c.text = rest[0], strings.ToLower(text)
		return c, err
	case "key":
		if len(rest) != 1 || rest[0] != "given" {
			return bad("key given")
		}
	}
	return c, nil
}

func parseSpan(s string, out *span) bool {
	switch s {
	case "odd":
		*out = span{from: 1, to: -1, mod: 1}
		return true
	case "even":
		*out = span{from: 1, to: -1, mod: 2}
		return true
	}
	from, to, ranged := strings.Cut(s, "..")
	open := strings.HasSuffix(s, "+")
	a, err := strconv.Atoi(strings.TrimSuffix(from, "+"))
	if err != nil || a < 0 {
		return false
	}
	*out = span{from: a, to: a}
	if open {
		out.to = -1
	}
	if ranged {
		b, err := strconv.Atoi(to)
		if err != nil || b < a {
			return false
		}
		out.to = b
	}
	return true
}
