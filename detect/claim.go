package detect

import (
	"regexp"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

// acted finds the words with which a model says in English that it has done
// something: "I refunded", "Done: …". happened finds those that say that it was
// done, which may be a report as well: "is paid", "has been sent".
var (
	acted    = regexp.MustCompile(`\b(?:i|we|i've|we've|i’ve|we’ve|i have|we have)` + participle + `|^(?:done|success)\b`)
	happened = regexp.MustCompile(`\b(?:is|are|was|were|been)` + participle)
)

const participle = `(?: (?:now|just|already|successfully|also))* (?:done|paid|sent|made|[a-z]{2,}ed)\b`

// hedged finds the words after which a sentence claims nothing: it denies,
// asks, plans, supposes or reports what others did or will do.
var hedged = regexp.MustCompile(`\b(?:not|no|never|cannot|neither|nothing|unable|fail\w*|without|unless|until|if|once|when|whether|before|after|` +
	`will|would|can|could|may|might|should|must|shall|please|need\w*|want\w*|let|to be|being|pending|unavailable|denied|rejected|refused|` +
	`you|your|they|he|she|previously|earlier|yesterday|ago|last|policy|example)\b|n't\b|n’t\b|\?`)

// generic are words of tool names that say too little of what the tool does.
var generic = map[string]bool{
	"make": true, "create": true, "update": true, "delete": true, "remove": true, "write": true, "post": true, "send": true,
	"call": true, "tool": true, "exec": true, "execute": true, "start": true, "stop": true, "submit": true, "apply": true,
	"order": true, "user": true, "item": true, "data": true, "file": true, "text": true, "with": true, "from": true, "into": true,
	"change": true, "modify": true, "edit": true, "save": true, "status": true, "state": true, "list": true, "command": true,
}

// claim finds a final answer that says that something was done which a tool
// with an effect would have to do, and no such tool was called with success in
// the run. It knows tools by the words of their names, English alone, and is
// silent where it could be mistaken: where a tool has no name of its own, where
// a result speaks of the same, where a sentence hedges, and where it may report
// what a result says instead of what the model did.
func (in ReplyInput) claim() []daruma.Signal {
	m := in.Message
	if len(in.Undone) == 0 || len(m.Calls) > 0 || !in.whole() {
		return nil
	}
	for _, sentence := range sentences(m.Text) {
		low := strings.ToLower(sentence)
		told := in.Seen != nil && in.Seen("")
		if hedged.MatchString(low) || !acted.MatchString(low) && (told || !happened.MatchString(low)) {
			continue
		}
		for _, tool := range in.Undone {
			word := mention(low, tool)
			if word == "" || in.Seen != nil && in.Seen(word) {
				continue
			}
			return in.about(daruma.UnverifiedClaim, "claim/1", "the answer claims what no call shows: %s was not done in this run, and the answer says %q", tool, cut(sentence, 200))
		}
	}
	return nil
}

// mention returns the word of a tool's name that a sentence speaks of, "" for none.
func mention(sentence, tool string) string {
	for _, word := range nameWords(tool) {
		if len(word) < 4 || generic[word] {
			continue
		}
		stem := strings.TrimSuffix(word, "e")
		if slices.ContainsFunc(strings.FieldsFunc(sentence, notLetter), func(w string) bool { return strings.HasPrefix(w, stem) }) {
			return stem
		}
	}
	return ""
}

// nameWords splits "refund_order" and "refundOrder" into their words.
func nameWords(name string) []string {
	var b strings.Builder
	for i, c := range name {
		if c >= 'A' && c <= 'Z' && i > 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return strings.FieldsFunc(strings.ToLower(b.String()), notLetter)
}

func notLetter(c rune) bool { return c < 'a' || c > 'z' }

// sentences cuts a text after marks that end a sentence. Lines of lists and
// code are sentences of their own.
func sentences(text string) []string {
	text = head(text, maxText)
	var out []string
	start := 0
	for i := 0; i < len(text); i++ {
		if c := text[i]; c == '\n' || (c == '.' || c == '!' || c == '?' || c == ';') && (i+1 == len(text) || text[i+1] == ' ' || text[i+1] == '\n') {
			if s := strings.TrimSpace(text[start : i+1]); s != "" {
				out = append(out, s)
			}
			start = i + 1
		}
	}
	if s := strings.TrimSpace(text[start:]); s != "" {
		out = append(out, s)
	}
	return out
}
