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
	parts := strings.Split(s, " ")
	if len(s) > maxMark || len(parts) != 4 || parts[0] != markVersion || parts[2] != "w" && parts[2] != "-" {
		return mark{}, false
	}
	score, err := strconv.Atoi(parts[1])
	if err != nil || score < 0 || score > 1_000_000 {
		return mark{}, false
	}
	m := mark{score: score, changed: parts[2] == "w"}
	for text := range strings.SplitSeq(parts[3], ",") {
		f := strings.Split(text, ".")
		if len(f) != 4 || len(f[0]) != keyLength || len(f[1]) != outLength || f[2] != "-" && len(f[2]) != outLength || len(f[3]) > maxStep || len(m.entries) == maxEntries {
			return mark{}, false
		}
		m.entries = append(m.entries, entry{f[0], f[1], f[2], f[3]})
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
