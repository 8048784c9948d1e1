package mcp_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	"github.com/daruma-run/daruma/tool/mcp"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// site is an MCP server over HTTP whose answers to calls can be replaced.
type site struct {
	*httptest.Server
	calls atomic.Int32
	wrong atomic.Pointer[http.HandlerFunc]
	token atomic.Pointer[string]
}

func newSite(t *testing.T, options *sdk.StreamableHTTPOptions) *site {
	t.Setenv("WITNESS", t.TempDir()+"/witness")
	s := &site{}
	server := newServer(0)
	inner := sdk.NewStreamableHTTPHandler(func(*http.Request) *sdk.Server { return server }, options)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := r.Header.Get("Authorization")
		s.token.Store(&token)
		if token != "Bearer tok-1" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		if r.Header.Get("Mcp-Method") == "tools/call" || r.Header.Get("X-Call") != "" {
			s.calls.Add(1)
		}
		if wrong := s.wrong.Load(); wrong != nil && r.Method == http.MethodPost {
			(*wrong)(w, r)
			return
		}
		inner.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		s.Close()
		for session := range server.Sessions() {
			session.Close()
		}
	})
	return s
}

func (s *site) config() mcp.Config {
	return mcp.Config{Name: "web", URL: s.URL + "/mcp?key=url-secret", Header: http.Header{"Authorization": {"Bearer tok-1"}},
		Transport: &http.Transport{DisableKeepAlives: true}, Grace: 200 * time.Millisecond,
		Tools: map[string]mcp.Tool{"echo": {Effect: effect(daruma.Read)}, "die": {}}}
}

func (s *site) answer(f http.HandlerFunc) { s.wrong.Store(&f) }

func TestHTTP(t *testing.T) {
	for name, options := range map[string]*sdk.StreamableHTTPOptions{
		"newest": nil, "stateless": {Stateless: true}, "json": {JSONResponse: true},
	} {
		for _, protocol := range []string{"", "2025-11-25"} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				s := newSite(t, options)
				c := s.config()
				c.Protocol = protocol
				h := start(t, c)
				if got := h.call("echo", "hello"); got != "hello" {
					t.Errorf("echo gave %q", got)
				}
				h.fails("fail", "", daruma.KindInvalid, "no such file")
				h.Close()
			})
		}
	}
}

// TestHTTPAnswers: what a status proves.
func TestHTTPAnswers(t *testing.T) {
	status := func(code int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			http.Error(w, "because", code)
		}
	}
	for _, a := range []struct {
		name         string
		f            http.HandlerFunc
		read, writes daruma.Kind
		after        time.Duration
	}{
		{"500", status(500), daruma.KindUnavailable, daruma.KindDoubt, 0},
		{"502", status(502), daruma.KindUnavailable, daruma.KindDoubt, 0},
		{"503", status(503, "Retry-After", "7"), daruma.KindUnavailable, daruma.KindUnavailable, 7 * time.Second},
		{"429", status(429, "Retry-After", "3"), daruma.KindRateLimited, daruma.KindRateLimited, 3 * time.Second},
		{"401", status(401), daruma.KindUnauthorized, daruma.KindUnauthorized, 0},
		{"400", status(400), daruma.KindInvalid, daruma.KindInvalid, 0},
		{"307", status(307, "Location", "/elsewhere"), daruma.KindNotFound, daruma.KindNotFound, 0},
		{"cut", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, daruma.KindUnavailable, daruma.KindDoubt, 0},
		{"stream that ends", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, ": hello\n\n")
		}, daruma.KindUnavailable, daruma.KindDoubt, 0},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for b := []byte(strings.Repeat(" ", 1<<20)); ; {
				if _, err := w.Write(b); err != nil {
					return
				}
			}
		}, daruma.KindBroken, daruma.KindDoubt, 0},
		{"a page", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, "<html>Sign in</html>")
		}, daruma.KindUnavailable, daruma.KindDoubt, 0},
	} {
		for _, name := range []string{"echo", "append"} {
			t.Run(a.name+" "+name, func(t *testing.T) {
				s := newSite(t, nil)
				h := start(t, s.config())
				n := atomic.Int32{}
				s.answer(func(w http.ResponseWriter, r *http.Request) {
					n.Add(1)
					a.f(w, r)
				})
				want := a.read
				if name == "append" {
					want = a.writes
				}
				_, err := h.try(context.Background(), name, "x")
				if daruma.KindOf(err) != want || tool.RetryAfter(err) != a.after {
					t.Errorf("%v (%v, after %v); want %v, %v", err, daruma.KindOf(err), tool.RetryAfter(err), want, a.after)
				}
				if err != nil && (strings.Contains(err.Error(), "url-secret") || strings.Contains(err.Error(), "tok-1")) {
					t.Errorf("the error tells a secret: %v", err)
				}
				if n.Load() != 1 {
					t.Errorf("the request was sent %d times", n.Load())
				}
			})
		}
	}
}

func TestHTTPServerIsGone(t *testing.T) {
	s := newSite(t, nil)
	h := start(t, s.config())
	s.Server.CloseClientConnections()
	s.Server.Close()
	h.fails("append", "x", daruma.KindUnavailable, "") // never sent: not in doubt
}

func TestHTTPSessionIsForgotten(t *testing.T) {
	s := newSite(t, nil)
	c := s.config()
	c.Protocol = "2025-11-25"
	h := start(t, c)
	s.answer(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "session not found", http.StatusNotFound) })
	h.fails("append", "x", daruma.KindUnavailable, "forgotten the session")
	s.wrong.Store(nil)
	if got := h.call("echo", "again"); got != "again" {
		t.Errorf("echo gave %q", got)
	}
}

func TestHTTPBadStarts(t *testing.T) {
	s := newSite(t, nil)
	c := s.config()
	c.Header = nil
	if _, err := mcp.Start(context.Background(), c); daruma.KindOf(err) != daruma.KindUnauthorized {
		t.Errorf("without a token: %v (%v)", err, daruma.KindOf(err))
	}
	c = s.config()
	c.URL = "ftp://files"
	if _, err := mcp.Start(context.Background(), c); daruma.KindOf(err) != daruma.KindInvalid {
		t.Errorf("ftp: %v", err)
	}
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}))
	defer hang.Close()
	c = s.config()
	c.URL, c.StartTimeout = hang.URL, 200*time.Millisecond
	began := time.Now()
	if _, err := mcp.Start(context.Background(), c); daruma.KindOf(err) != daruma.KindUnavailable {
		t.Errorf("a server that never answers: %v", err)
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("it took %v to give up", took)
	}
}
