package model

import (
	"bufio"
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// failure is one file of the corpus: "provider:", "status:", "want:" and
// "header:" lines, an empty line, and the body as it came.
type failure struct {
	facts Facts
	want  string
}

func readFailure(t testing.TB, path string) failure {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, body, ok := bytes.Cut(text, []byte("\n\n"))
	if !ok {
		t.Fatalf("%s has no empty line", path)
	}
	f := failure{facts: Facts{Header: http.Header{}, Body: body, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	for lines := bufio.NewScanner(bytes.NewReader(head)); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "provider":
			f.facts.Provider = value
		case "status":
			if f.facts.Status, err = strconv.Atoi(value); err != nil {
				t.Fatal(err)
			}
		case "want":
			f.want = value
		case "header":
			name, v, _ := strings.Cut(value, ": ")
			f.facts.Header.Add(name, v)
		default:
			t.Fatalf("%s: unknown line %q", path, lines.Text())
		}
	}
	return f
}

// TestFailureCorpus checks the table of failures against answers as providers
// send them.
func TestFailureCorpus(t *testing.T) {
	files, _ := filepath.Glob("testdata/failures/*.txt")
	if len(files) < 100 {
		t.Fatalf("%d files in the corpus", len(files))
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			f := readFailure(t, path)
			e := Classify(f.facts)
			kind, rest, _ := strings.Cut(f.want, " ")
			got, after := map[string]string{"code": e.Code, "type": e.Type}, time.Duration(0)
			for _, word := range strings.Fields(rest) { // code and type are compared where the file names them
				key, value, _ := strings.Cut(word, "=")
				if key == "after" {
					if after, _ = time.ParseDuration(value); after == 0 {
						t.Fatalf("after is %q", value)
					}
				} else if got[key] != value {
					t.Errorf("%s is %q, want %q", key, got[key], value)
				}
			}
			if e.Kind.String() != kind || e.RetryAfter != after {
				t.Errorf("got %s after %s, want %s after %s; text %q", e.Kind, e.RetryAfter, kind, after, e.Text)
			}
			if strings.Contains(e.Error(), "sk-abcde") || len(e.Text) > MaxText {
				t.Errorf("text: %s", e)
			}
		})
	}
}

// FuzzClassify: whatever comes, there is an answer, it is bounded, and the key
// is not in it.
func FuzzClassify(f *testing.F) {
	files, _ := filepath.Glob("testdata/failures/*.txt")
	for _, path := range files {
		one := readFailure(f, path)
		f.Add(one.facts.Status, one.facts.Header.Get("Retry-After"), one.facts.Body)
	}
	f.Add(429, "-1", []byte(`{"error":{"message":"key hunter2hunter2 is bad","details":[{"retryDelay":"-5s"}]}}`))
	f.Fuzz(func(t *testing.T, status int, after string, body []byte) {
		h := http.Header{"Retry-After": {after}}
		e := Classify(Facts{Status: status, Header: h, Body: body, Secrets: []string{"hunter2hunter2"}})
		if len(e.Text) > MaxText || e.RetryAfter < 0 || e.RetryAfter > MaxRetryAfter || e.Kind == 0 {
			t.Fatalf("%+v", e)
		}
		if strings.Contains(e.Error(), "hunter2hunter2") {
			t.Fatalf("the secret is in %s", e)
		}
	})
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		header http.Header
		want   time.Duration
	}{
		{nil, 0},
		{http.Header{"Retry-After": {"2"}}, 2 * time.Second},
		{http.Header{"Retry-After": {" 1.5 "}}, 1500 * time.Millisecond},
		{http.Header{"Retry-After": {"-3"}}, 0},
		{http.Header{"Retry-After": {"NaN"}}, 0},
		{http.Header{"Retry-After": {"soon"}}, 0},
		{http.Header{"Retry-After": {"1e300"}}, MaxRetryAfter},
		{http.Header{"Retry-After-Ms": {"334"}, "Retry-After": {"1"}}, 334 * time.Millisecond},
		{http.Header{"Retry-After": {"Thu, 01 Jan 2026 00:00:07 GMT"}}, 7 * time.Second},
		{http.Header{"Retry-After": {"Wed, 31 Dec 2025 00:00:00 GMT"}}, 0},
		{http.Header{"Retry-After": {"Thu, 01 Jan 2026 00:00:07 GMT"}, "Date": {"Thu, 01 Jan 2026 00:00:05 GMT"}}, 2 * time.Second},
		{http.Header{"Retry-After": {"Thu, 01 Jan 2099 00:00:00 GMT"}}, MaxRetryAfter},
	} {
		if got := RetryAfter(c.header, now); got != c.want {
			t.Errorf("%v: %s, want %s", c.header, got, c.want)
		}
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"Incorrect API key provided: sk-abcde****wxyz.": "Incorrect API key provided: [secret]",
		"Authorization: Bearer abc.def-ghi was refused": "Authorization: [secret] was refused",
		"GET /v1?key=AIzaSyA1234567890&x=1":             "GET /v1[secret]&x=1",
		"my own secret":                                 "my own [secret]",
		"risk-free task-list":                           "risk-free task-list",
	} {
		if got := Redact(text, "", "secret"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
