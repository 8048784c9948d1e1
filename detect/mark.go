package detect

import (
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
)

const (
	markVersion = "1"
	maxMark     = 400 // bytes, as the core demands
	maxEntries  = 10  // calls of a turn in a mark; more are folded into one
	maxStep     = 12  // bytes of the id of a step

	keyLength = 8 // characters of a hash: 48 bits
	outLength = 6 // 36 bits, compared under an equal key only
)

// mark is what is remembered of a turn:
//
//	1 SCORE FLAGS ENTRY,ENTRY…
//
// SCORE is in halves. FLAGS is "w" where something new may have changed the
// world, else "-". An ENTRY is KEY.OUT.ERROR.STEP: hashes of the call, of its
// result and of its error ("-": none), and the id of its step.
type mark struct {
	score   int
	changed bool
	entries []entry
}

type entry struct {
	key, out, failure, step string
}

// hash returns n characters that stand for s.
func hash(n int, s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:n]
}

// String writes the mark, at most maxMark bytes.
func (m mark) String() string {
	flags := "-"
	if m.changed {
		flags = "w"
	}
	var b strings.Builder
	b.WriteString(markVersion + " " + strconv.Itoa(m.score) + " " + flags + " ")
	for i, e := range m.entries {
		if i > 0 {
			b.WriteByte(',')
		}
		step := e.step
		if len(step) > maxStep || strings.ContainsAny(step, " ,.") {
			step = ""
		}
		b.WriteString(e.key + "." + e.out + "." + e.failure + "." + step)
	}
	return b.String()
}

// parseMark reads what String wrote.
func parseMark(s string) (mark, bool) {
	version, rest, _ := strings.Cut(s, " ")
	number, rest, _ := strings.Cut(rest, " ")
	flags, list, ok := strings.Cut(rest, " ")
	if !ok || len(s) > maxMark || version != markVersion || flags != "w" && flags != "-" {
		return mark{}, false
	}
	score, err := strconv.Atoi(number)
	if err != nil || score < 0 || score > 1_000_000 {
		return mark{}, false
	}
	m := mark{score: score, changed: flags == "w", entries: make([]entry, 0, 1+min(strings.Count(list, ","), maxEntries))}
	for text := range strings.SplitSeq(list, ",") {
		var e entry
		e.key, rest, _ = strings.Cut(text, ".")
		e.out, rest, _ = strings.Cut(rest, ".")
		e.failure, e.step, ok = strings.Cut(rest, ".")
		if !ok || len(e.key) != keyLength || len(e.out) != outLength || e.failure != "-" && len(e.failure) != outLength ||
			len(e.step) > maxStep || strings.ContainsAny(e.step, ". ") || len(m.entries) == maxEntries {
			return mark{}, false
		}
		m.entries = append(m.entries, e)
	}
	return m, true
}

// parseMarks reads the newest marks, oldest first. What is older than one that
// cannot be read is left out.
func parseMarks(texts []string) []mark {
	var marks []mark
	for _, text := range texts[max(0, len(texts)-window):] {
		m, ok := parseMark(text)
		if !ok {
			marks = nil
			continue
		}
		marks = append(marks, m)
	}
	return marks
}
