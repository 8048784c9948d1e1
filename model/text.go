package model

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxRetryAfter bounds what [RetryAfter] returns: no answer makes anybody wait
// for more than a day.
const MaxRetryAfter = 24 * time.Hour

// RetryAfter returns how long the headers ask to wait: Retry-After-Ms in
// milliseconds, else Retry-After in seconds, with a fraction or not, or as a
// date, which is counted from the answer's own Date where it has one and from
// now otherwise. Zero means they do not say, or it is over already.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	if d, ok := number(h.Get("Retry-After-Ms"), time.Millisecond); ok {
		return d
	}
	text := strings.TrimSpace(h.Get("Retry-After"))
	if d, ok := number(text, time.Second); ok {
		return d
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter)
}

func number(text string, unit time.Duration) (time.Duration, bool) {
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || math.IsNaN(v) {
		return 0, false
	}
	v = min(max(v, 0), float64(MaxRetryAfter)/float64(unit))
	return time.Duration(v * float64(unit)), true
}

var keys = regexp.MustCompile(`(?i)\bbearer\s+\S+|\b(sk|pk|rk|gsk|xai|hf|r8|pplx|nvapi|sess|key)[-_][-_*.\w]{6,}|\bAIza[-\w]{10,}|\bya29\.[-\w]+|\beyJ[-\w]{10,}(\.[-\w]+)*|([?&](api[-_]?key|key|token)=)[^&\s"]+`)

// Redact takes the secrets out of the text, and whatever looks like a key of
// a provider, whole or masked.
func Redact(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	return keys.ReplaceAllString(text, "[secret]")
}

// clip cuts the text to n bytes between characters.
func clip(text string, n int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// isPage reports whether the body is meant for a browser.
func isPage(h http.Header, body []byte) bool {
	if strings.HasPrefix(strings.ToLower(h.Get("Content-Type")), "text/html") {
		return true
	}
	text := strings.TrimSpace(strings.TrimPrefix(string(body[:min(len(body), 256)]), "\uFEFF"))
	return strings.HasPrefix(text, "<")
}

var titles = regexp.MustCompile(`(?is)<title[^>]*>(.*?)</title`)

// title returns the title of a page, which is all of it worth showing.
func title(page string) string {
	if m := titles.FindStringSubmatch(page); m != nil {
		return "a page: " + strings.Join(strings.Fields(m[1]), " ")
	}
	return "a page, not an answer"
}
