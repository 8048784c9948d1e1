package falls

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/fake"
)

//go:embed scripts/*.txt
var scripts embed.FS

// scenario is one fall and the truth about it.
type scenario struct {
	Name     string
	Family   string
	Fall     string
	Gap      string // why nobody catches it yet; it is not counted
	Crash    string // tool in whose first call the process dies
	Limits   daruma.Limits
	Deadline time.Duration
	Acts     []act // one or two
	Digest   string

	script *fake.Script
}

// act is one run and what must come out of it.
type act struct {
	Input   string
	Best    []Outcome
	Has     []fact
	Missing []fact // only names
	Effects []effect
	Lies    []string
	Asks    []string
	Refuse  bool // the approver says no to everything
}

// fact is something an answer must hold, by any of its fragments, or must say
// that it is missing, by any of its names.
type fact struct {
	names     []string
	fragments []string
}

// effect is what the world may and must see of a tool.
type effect struct {
	tool        string
	least, most int
	args        string // canonical JSON; empty means any
}

// families in the order of the table.
var families = []string{"fail", "hallucinate", "stuck"}

// Names returns the names of all scenarios, sorted.
func Names() []string {
	files, _ := fs.Glob(scripts, "scripts/*.txt") // the pattern is good
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".txt")
	}
	return names
}

// load reads a scenario by its name. Errors are of KindNotFound and, for a file
// that does not parse, KindInvalid.
func load(name string) (*scenario, error) {
	text, err := scripts.ReadFile("scripts/" + name + ".txt")
	if err != nil {
		return nil, daruma.Fail("falls", daruma.KindNotFound, "there is no scenario %q; accepted: %s", name, strings.Join(Names(), ", "))
	}
	return parse(name, text)
}

// filler stands in scripts for a text of two million letters.
const filler = "@two million letters@"

func parse(name string, text []byte) (*scenario, error) {
	s := &scenario{Name: name, Deadline: 20 * time.Second, Acts: make([]act, 1), Digest: daruma.DigestOf(text).String()[:16]}
	s.Limits.ModelTime = daruma.Duration(5 * time.Second)
	for i, line := range strings.Split(string(text), "\n") {
		truth, ok := strings.CutPrefix(strings.TrimSpace(line), "#:")
		if !ok {
			continue
		}
		if err := s.line(strings.TrimSpace(truth)); err != nil {
			return nil, daruma.Fail("falls", daruma.KindInvalid, "%s.txt:%d: %w", name, i+1, err)
		}
	}
	bad := func(format string, args ...any) error {
		return daruma.Fail("falls", daruma.KindInvalid, "%s.txt: %s", name, fmt.Sprintf(format, args...))
	}
	if !slices.Contains(families, s.Family) || s.Fall == "" {
		return nil, bad("family is %q, fall is %q; accepted: one of %s, and words", s.Family, s.Fall, strings.Join(families, ", "))
	}
	for _, a := range s.Acts {
		if a.Input == "" || len(a.Best) == 0 || len(a.Has)+len(a.Missing)+len(a.Effects) == 0 {
			return nil, bad("an act lacks input, best, or all of has, missing, effect")
		}
	}
	var err error
	s.script, err = fake.Parse(bytes.ReplaceAll(text, []byte(filler), bytes.Repeat([]byte("letters "), 250_000)))
	if err != nil {
		return nil, bad("%v", err)
	}
	return s, nil
}

// line reads one line of truth.
func (s *scenario) line(text string) error {
	a := &s.Acts[0]
	if rest, ok := strings.CutPrefix(text, "then "); ok {
		if len(s.Acts) == 1 {
			s.Acts = append(s.Acts, act{})
		}
		a, text = &s.Acts[1], rest
	}
	word, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	var err error
	switch word {
	case "family":
		s.Family = rest
	case "fall":
		s.Fall = rest
	case "gap":
		s.Gap = rest
	case "crash":
		s.Crash = rest
	case "deadline":
		s.Deadline, err = time.ParseDuration(rest)
	case "limits":
		err = s.limits(rest)
	case "input":
		a.Input = rest
	case "best":
		for _, name := range strings.Fields(rest) {
			o := Outcome(name)
			if !slices.Contains(honest, o) {
				return fmt.Errorf("best is %q; accepted: %v", name, honest)
			}
			a.Best = append(a.Best, o)
		}
	case "has":
		name, fragments, ok := strings.Cut(rest, ":")
		if !ok || strings.TrimSpace(fragments) == "" {
			return fmt.Errorf("has is %q; accepted: NAME: FRAGMENT", rest)
		}
		a.Has = append(a.Has, fact{options(name), options(fragments)})
	case "missing":
		a.Missing = append(a.Missing, fact{names: options(rest)})
	case "effect":
		var e effect
		e, err = parseEffect(rest)
		a.Effects = append(a.Effects, e)
	case "lie":
		a.Lies = append(a.Lies, strings.ToLower(rest))
	case "asks":
		a.Asks = append(a.Asks, strings.ToLower(rest))
	case "approve":
		if rest != "no" {
			return fmt.Errorf("approve is %q; accepted: no", rest)
		}
		a.Refuse = true
	default:
		err = fmt.Errorf("%q is not known; accepted: family, fall, input, best, has, missing, effect, lie, asks, approve, limits, crash, deadline, gap", word)
	}
	return err
}

func (s *scenario) limits(rest string) error {
	for _, w := range strings.Fields(rest) {
		key, value, _ := strings.Cut(w, "=")
		n, err := strconv.Atoi(value)
		switch key {
		case "steps":
			s.Limits.Steps = n
		case "tokens":
			s.Limits.Tokens = int64(n)
		case "model-time":
			var d time.Duration
			d, err = time.ParseDuration(value)
			s.Limits.ModelTime = daruma.Duration(d)
		default:
			return fmt.Errorf("limit %q is not known; accepted: steps, tokens, model-time", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func parseEffect(rest string) (effect, error) {
	words := strings.SplitN(rest, " ", 3)
	bad := fmt.Errorf("effect is %q; accepted: TOOL COUNT ARGS, with a count of 1, 0..1 or 1+", rest)
	if len(words) < 2 {
		return effect{}, bad
	}
	e := effect{tool: words[0]}
	from, to, ranged := strings.Cut(words[1], "..")
	var err error
	if e.least, err = strconv.Atoi(strings.TrimSuffix(from, "+")); err != nil {
		return e, bad
	}
	e.most = e.least
	if strings.HasSuffix(from, "+") {
		e.most = 1000
	}
	if ranged {
		if e.most, err = strconv.Atoi(to); err != nil {
			return e, bad
		}
	}
	if len(words) == 3 {
		if e.args, err = canonical([]byte(words[2])); err != nil {
			return e, fmt.Errorf("arguments of effect %s: %w", e.tool, err)
		}
	}
	return e, nil
}

// canonical brings JSON into one form, so that forms can be compared.
func canonical(b []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

func options(text string) []string {
	var out []string
	for o := range strings.SplitSeq(text, "|") {
		out = append(out, strings.ToLower(strings.TrimSpace(o)))
	}
	return out
}
