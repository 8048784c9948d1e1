package tool

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
)

// verified returns a set of one tool that is verified behind handler, at
// /calls/{key}.
func verified(t *testing.T, handler http.HandlerFunc) *Set {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newSet(t, VerifyHTTP(plain(), server.URL+"/calls/{key}?token=secret&again={key}", server.Client()))
}

func plain() Tool {
	return HTTP(daruma.ToolSpec{Name: "t", Effect: daruma.Unsafe}, "", nil, "http://127.0.0.1:1", nil)
}

func TestVerifyHTTP(t *testing.T) {
	s := verified(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.URL.EscapedPath(), r.URL.Query().Get("token"), r.URL.Query().Get("again"))
	})
	outcome, r, err := s.Verify(t.Context(), Call{Tool: "t", Key: "a/b c"})
	if err != nil || outcome != daruma.Succeeded || r.Text != "GET /calls/a%2Fb%20c secret a/b c" {
		t.Errorf("%v, %q, %v", outcome, r.Text, err)
	}
	if base := plain(); base.Spec.Verify || !VerifyHTTP(base, "http://127.0.0.1:1/{key}", nil).Spec.Verify {
		t.Error("the spec does not say that the tool can be verified, or says it of the tool given")
	}
}

func TestVerifyHTTPStatus(t *testing.T) {
	for status, want := range map[int]daruma.Outcome{
		200: daruma.Succeeded, 201: daruma.Succeeded, 204: daruma.Succeeded, 202: daruma.Doubtful, 404: daruma.Absent,
		301: daruma.Doubtful, 302: daruma.Doubtful, 400: daruma.Doubtful, 401: daruma.Doubtful, 403: daruma.Doubtful, 408: daruma.Doubtful,
		409: daruma.Doubtful, 410: daruma.Doubtful, 429: daruma.Doubtful, 500: daruma.Doubtful, 502: daruma.Doubtful, 503: daruma.Doubtful, 504: daruma.Doubtful,
	} {
		var calls atomic.Int32
		s := verified(t, func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		})
		outcome, _, err := s.Verify(t.Context(), Call{Tool: "t", Key: "k"})
		if outcome != want || (err == nil) == (want == daruma.Doubtful) {
			t.Errorf("status %d: %v, %v; want %v", status, outcome, err, want)
		}
		if want == daruma.Doubtful && !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("status %d: the error does not say it: %v", status, err)
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("status %d: %d requests", status, n)
		}
	}
}

// TestVerifyHTTPLost wants no answer, and half of one, to prove nothing.
func TestVerifyHTTPLost(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		},
		"half": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "half")
		},
	} {
		outcome, r, err := verified(t, handler).Verify(t.Context(), Call{Tool: "t", Key: "k"})
		if outcome != daruma.Doubtful || err == nil || r.Text != "" {
			t.Errorf("%s: %v, %q, %v", name, outcome, r.Text, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the URL: %v", name, err)
		}
	}
}

func TestVerifyHTTPStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := verified(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel() // once the request has come
		<-r.Context().Done()
	})
	outcome, _, err := s.Verify(ctx, Call{Tool: "t", Key: "k"})
	if outcome != daruma.Doubtful || daruma.KindOf(err) != daruma.KindCancelled || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v, %v (%v)", outcome, err, daruma.KindOf(err))
	}
}

func TestVerifyHTTPDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		block := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-release
			return nil, io.ErrClosedPipe
		}}}
		slow := plain()
		slow.Spec.Timeout = daruma.Duration(3 * time.Second)
		began := time.Now()
		outcome, _, err := newSet(t, VerifyHTTP(slow, "http://127.0.0.1:1/{key}", block)).Verify(t.Context(), Call{Tool: "t", Key: "k"})
		if outcome != daruma.Doubtful || daruma.KindOf(err) != daruma.KindTimeout {
			t.Errorf("%v, %v (%v)", outcome, err, daruma.KindOf(err))
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestVerifyHTTPNotConnected(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	outcome, _, err := newSet(t, VerifyHTTP(plain(), "http://"+address+"/{key}", nil)).Verify(t.Context(), Call{Tool: "t", Key: "k"})
	if outcome != daruma.Doubtful || daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("%v, %v (%v)", outcome, err, daruma.KindOf(err))
	}
}

func TestVerifyHTTPPanics(t *testing.T) {
	for _, target := range []string{"", "http://127.0.0.1/calls", "/calls/{key}", "ftp://127.0.0.1/{key}", "http:///{key}", "http://a b/{key}"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q: no panic", target)
				}
			}()
			VerifyHTTP(plain(), target, nil)
		}()
	}
}
