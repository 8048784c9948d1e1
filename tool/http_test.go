package tool

import (
	"context"
	"encoding/json"
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

// served returns a set of one tool behind handler.
func served(t *testing.T, effect daruma.Effect, handler http.HandlerFunc) *Set {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newSet(t, HTTP(daruma.ToolSpec{Name: "t", Effect: effect}, "", nil, server.URL+"/x?token=secret", server.Client()))
}

func TestHTTP(t *testing.T) {
	s := served(t, daruma.Keyed, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Idempotency-Key"), body)
	})
	r, err := s.Dispatch(t.Context(), Call{Tool: "t", Key: "k1", Args: json.RawMessage(`{"a": 1}`)})
	if err != nil || r.Text != `POST application/json k1 {"a": 1}` || !r.Replayed {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestHTTPStatus(t *testing.T) {
	for status, want := range map[int]daruma.Kind{
		301: daruma.KindNotFound, 307: daruma.KindNotFound, 400: daruma.KindInvalid, 401: daruma.KindUnauthorized, 402: daruma.KindQuota,
		403: daruma.KindUnauthorized, 404: daruma.KindNotFound, 408: daruma.KindTimeout, 409: daruma.KindConflict, 413: daruma.KindOverflow,
		422: daruma.KindInvalid, 429: daruma.KindRateLimited, 501: daruma.KindUnavailable, 503: daruma.KindUnavailable,
		505: daruma.KindUnavailable, 599: daruma.KindUnavailable, 500: daruma.KindDoubt, 502: daruma.KindDoubt, 504: daruma.KindDoubt,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			var calls atomic.Int32
			handler := func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/again")
				w.Header().Set("Retry-After", "7")
				w.WriteHeader(status)
				io.WriteString(w, "because")
			}
			_, err := served(t, daruma.Unsafe, handler).Dispatch(t.Context(), Call{Tool: "t"})
			if got := daruma.KindOf(err); got != want || !strings.Contains(err.Error(), "because") {
				t.Errorf("error %v is %v; want %v", err, got, want)
			}
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls", n)
			}
			if got := RetryAfter(err); want != daruma.KindDoubt && got != 7*time.Second {
				t.Errorf("retry after %v", got)
			}
			_, err = served(t, daruma.Read, handler).Dispatch(t.Context(), Call{Tool: "t"})
			if want == daruma.KindDoubt {
				want = daruma.KindUnavailable
			}
			if got := daruma.KindOf(err); got != want {
				t.Errorf("read: error %v is %v; want %v", err, got, want)
			}
			if got := RetryAfter(err); got != 7*time.Second {
				t.Errorf("read: retry after %v", got)
			}
		})
	}
}

func TestHTTPLost(t *testing.T) {
	cut := func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		c, _, _ := w.(http.Hijacker).Hijack()
		c.Close()
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
	}
	for name, handler := range map[string]http.HandlerFunc{"cut": cut, "half": half} {
		t.Run(name, func(t *testing.T) {
			for effect, want := range map[daruma.Effect]daruma.Kind{daruma.Unsafe: daruma.KindDoubt, daruma.Payment: daruma.KindDoubt, daruma.Read: daruma.KindUnavailable} {
				_, err := served(t, effect, handler).Dispatch(t.Context(), Call{Tool: "t", Key: "k", Approved: true})
				if got := daruma.KindOf(err); got != want {
					t.Errorf("%v: error %v is %v; want %v", effect, err, got, want)
				}
				if strings.Contains(err.Error(), "secret") {
					t.Errorf("the error tells the URL: %v", err)
				}
			}
		})
	}
}

func TestHTTPStopped(t *testing.T) {
	for effect, want := range map[daruma.Effect]daruma.Kind{daruma.Unsafe: daruma.KindDoubt, daruma.Payment: daruma.KindDoubt, daruma.Read: daruma.KindCancelled} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := served(t, effect, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			cancel() // once the request has come
			<-r.Context().Done()
		}).Dispatch(ctx, Call{Tool: "t", Key: "k", Approved: true})
		if got := daruma.KindOf(err); got != want || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: error %v is %v; want %v", effect, err, got, want)
		}
	}
}

// TestHTTPSendsOnce cuts a connection that was kept open: the transport must
// not send a keyed request again behind the back of the run.
func TestHTTPSendsOnce(t *testing.T) {
	var calls atomic.Int32
	s := served(t, daruma.Keyed, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if calls.Add(1) > 1 {
			c, _, _ := w.(http.Hijacker).Hijack()
			c.Close()
		}
	})
	if _, err := s.Dispatch(t.Context(), Call{Tool: "t", Key: "k1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Dispatch(t.Context(), Call{Tool: "t", Key: "k2"}); daruma.KindOf(err) != daruma.KindDoubt {
		t.Errorf("error %v", err)
	}
	if n := calls.Load(); n != 2 {
		t.Errorf("%d requests for two calls", n)
	}
}

func TestHTTPNotConnected(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newSet(t, HTTP(daruma.ToolSpec{Name: "t"}, "", nil, "http://"+address, nil))
	if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("error %v is %v", err, daruma.KindOf(err))
	}
}

func TestHTTPDeadlineBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		block := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-release
			return nil, io.ErrClosedPipe
		}}}
		s := newSet(t, HTTP(daruma.ToolSpec{Name: "t", Timeout: daruma.Duration(time.Second)}, "", nil, "http://127.0.0.1:1", block))
		if _, err := s.Dispatch(t.Context(), Call{Tool: "t"}); daruma.KindOf(err) != daruma.KindTimeout {
			t.Errorf("nothing was sent, yet error %v is %v", err, daruma.KindOf(err))
		}
	})
}

func TestWait(t *testing.T) {
	for header, want := range map[string]time.Duration{"": 0, "3": 3 * time.Second, "-3": 0, "999999999999": 24 * time.Hour, "x": 0, "Mon, 02 Jan 2006 15:04:05 GMT": 0} {
		if got := wait(header); got != want {
			t.Errorf("wait(%q) = %v; want %v", header, got, want)
		}
	}
	if got := wait(time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)); got < 58*time.Second || got > time.Minute {
		t.Errorf("wait for a date: %v", got)
	}
}

func TestHTTPPanics(t *testing.T) {
	for _, target := range []string{"", "example.com/x", "file:///etc/hostname", "http://", "http://a b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%q: no panic", target)
				}
			}()
			HTTP(daruma.ToolSpec{Name: "t"}, "", nil, target, nil)
		}()
	}
}
