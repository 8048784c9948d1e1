package model

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/daruma-run/daruma"
)

// MaxBody is how much of a failed answer is worth reading, in bytes.
const MaxBody = 64 << 10

// Facts is one answer that is a failure, as it came.
type Facts struct {
	Provider string      // as configured; "openai" means OpenAI itself
	Status   int         // of HTTP; 0 means there was none
	Header   http.Header // may be nil
	Body     []byte      // or the data of an error event; what is above MaxBody is not looked at
	Now      time.Time   // for Retry-After in the form of a date
	Secrets  []string    // taken out of the text, besides what looks like a key
}

// Classify says what the failed answer means. It never fails: what it does not
// know is of [daruma.KindInvalid] under a status of 4xx, of
// [daruma.KindUnavailable] under 5xx, else of [daruma.KindBroken].
func Classify(f Facts) *Error {
	if len(f.Body) > MaxBody {
		f.Body = f.Body[:MaxBody]
	}
	e := &Error{Provider: f.Provider, Status: f.Status, RetryAfter: RetryAfter(f.Header, f.Now), Request: requestID(f)}
	page := isPage(f.Header, f.Body)
	text := ""
	if page {
		e.Code, text = "html", title(string(f.Body))
	} else {
		said := read(f.Body)
		e.Code, e.Type, text = said.code, said.kind, said.text
		if e.RetryAfter == 0 {
			e.RetryAfter = said.wait
		}
	}
	e.Text = Redact(clip(text, 4*MaxText), f.Secrets...)
	e.Text = clip(e.Text, MaxText)
	e.Kind = decide(e, page, strings.ToLower(text))
	return e
}

// requestID finds the provider's id of the request. What does not look like an
// id is none.
func requestID(f Facts) string {
	for _, id := range []string{
		f.Header.Get("Request-Id"), f.Header.Get("X-Request-Id"), gjson.GetBytes(f.Body, "request_id").String(),
	} {
		if id != "" && len(id) <= 100 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return Redact(id, f.Secrets...)
		}
	}
	return ""
}

// decide goes through the table.
func decide(e *Error, page bool, text string) daruma.Kind {
	if k, ok := byCode(e, false); ok {
		return k
	}
	status := e.Status
	if n, err := strconv.Atoi(e.Code); err == nil && status < 400 && n >= 400 && n <= 599 {
		status = n
	}
	k, final, ok := byStatus(statusRows[:], status, page)
	if !ok {
		k, ok = byCode(e, true)
	}
	if !ok {
		k, final, _ = byStatus(vagueRows[:], status, page)
	}
	if c, ok := byCode(e, true); ok && c == daruma.KindQuota && k == daruma.KindRateLimited {
		k = c // a vague word about money says more than 429
	}
	if !final {
		k = byText(e, k, text)
	}
	return k
}

func byCode(e *Error, vague bool) (daruma.Kind, bool) {
	for _, name := range []string{e.Code, e.Type} {
		if name == "" {
			continue
		}
		name = strings.ToLower(name)
		for _, r := range codeRows {
			if r.vague == vague && (r.provider == "" || r.provider == e.Provider) &&
				(!r.asked || e.RetryAfter > 0) && slices.Contains(strings.Fields(r.codes), name) {
				return r.kind, true
			}
		}
	}
	return 0, false
}

func byStatus(rows []statusRow, status int, page bool) (k daruma.Kind, final, ok bool) {
	for _, r := range rows {
		if status >= r.from && status <= r.to && (!r.html || page) {
			return r.kind, r.final, true
		}
	}
	return daruma.KindBroken, false, false
}

func byText(e *Error, k daruma.Kind, text string) daruma.Kind {
	for _, r := range textRows {
		if r.unasked && e.RetryAfter > 0 || len(r.of) > 0 && !slices.Contains(r.of, k) {
			continue
		}
		for _, w := range r.words {
			if strings.Contains(text, w) {
				return r.kind
			}
		}
	}
	return k
}

// said is what a body says, whatever its shape.
type said struct {
	code, kind, text string
	wait             time.Duration
}

// read looks for code, type and message where providers put them.
func read(body []byte) said {
	if !gjson.ValidBytes(body) {
		return said{text: strings.TrimSpace(string(body))}
	}
	root := gjson.ParseBytes(body)
	if root.IsArray() {
		root = root.Get("0") // Gemini's compatible face
	}
	return readObject(root, 3)
}

// readObject reads one level; depth bounds how many bodies inside of strings
// are opened.
func readObject(root gjson.Result, depth int) said {
	if root.Type == gjson.String {
		return said{text: root.String()}
	}
	e := root.Get("error")
	switch {
	case e.IsObject():
	case e.Type == gjson.String && e.String() != "":
		return said{code: root.Get("code").String(), kind: first(root, "error_type", "type"), text: e.String()}
	default:
		e = root
		if list := root.Get("errors.0"); list.IsObject() {
			e = list
		}
	}
	s := said{
		code: first(e, "code", "innererror.code", "statusCode"),
		kind: first(e, "type", "status", "__type"),
		text: first(e, "message", "detail", "detail.0.msg", "msg", "Message"),
	}
	for _, d := range e.Get("details").Array() {
		if r := d.Get("reason").String(); r != "" {
			s.code = r
		}
		if w, err := time.ParseDuration(d.Get("retryDelay").String()); err == nil && w > 0 {
			s.wait = min(w, MaxRetryAfter)
		}
	}
	if len(e.Get("metadata.reasons").Array()) > 0 {
		s.code = "content_filter" // OpenRouter's moderation
	}
	for _, inner := range []string{e.Get("metadata.raw").String(), s.text} {
		if inner == "" || depth == 0 {
			continue
		}
		if !gjson.Valid(inner) || !gjson.Parse(inner).IsObject() {
			if inner != s.text {
				s.text += ": " + inner
			}
			continue
		}
		in := readObject(gjson.Parse(inner), depth-1)
		s.text = in.text
		if in.code != "" {
			s.code = in.code
		}
		if in.kind != "" {
			s.kind = in.kind
		}
		s.wait = max(s.wait, in.wait)
	}
	return s
}

func first(v gjson.Result, paths ...string) string {
	for _, p := range paths {
		switch r := v.Get(p); r.Type {
		case gjson.String, gjson.Number:
			if r.String() != "" {
				return r.String()
			}
		case gjson.JSON:
			if p == "message" && r.IsObject() { // Mistral
				return r.Raw
			}
		}
	}
	return ""
}
