package mcp

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
)

// maxComplaint is how much of an answer that is no success is read.
const maxComplaint = 1 << 10

// requests adds headers, notes what came of the request of a call, and bounds
// answers. Every request ends with life.
type requests struct {
	inner  http.RoundTripper
	header http.Header
	life   context.Context
}

// RoundTrip implements [http.RoundTripper].
func (t *requests) RoundTrip(r *http.Request) (*http.Response, error) {
	x := exchangeOf(r.Context())
	ctx, cancel := context.WithCancelCause(r.Context())
	stop := context.AfterFunc(t.life, func() { cancel(context.Cause(t.life)) })
	over := func() {
		stop()
		cancel(nil)
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		WroteHeaders: func() { x.set(func(x *exchange) { x.sent = true }) },
	})
	r = r.Clone(ctx)
	for name, values := range t.header {
		r.Header[name] = values
	}
	// With GetBody the transport would send some requests a second time on its
	// own.
	r.GetBody = nil
	resp, err := t.inner.RoundTrip(r)
	if err != nil {
		over()
		return nil, err
	}
	bound := int64(maxMessage)
	if r.Method == http.MethodGet {
		bound = -1 // a stream without end; its events are bounded
	}
	b := &body{ReadCloser: resp.Body, left: bound, over: over, x: x}
	resp.Body = b
	x.set(func(x *exchange) { x.status, x.wait = resp.StatusCode, resp.Header.Get("Retry-After") })
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		b.complain()
	}
	return resp, nil
}

// body is the bounded body of an answer.
type body struct {
	io.ReadCloser
	left int64 // below zero: without bound
	over func()
	x    *exchange
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		b.x.set(func(x *exchange) { x.large = true })
		return 0, errLarge
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	return n, err
}

func (b *body) Close() error {
	defer b.over()
	return b.ReadCloser.Close()
}

// complain reads the beginning of an answer that is no success, and leaves it
// to be read again.
func (b *body) complain() {
	text, err := io.ReadAll(io.LimitReader(b.ReadCloser, 16*maxComplaint))
	rest := io.Reader(bytes.NewReader(text))
	if err != nil {
		rest = io.MultiReader(rest, failing{err})
	}
	b.ReadCloser = readCloser{rest, b.ReadCloser}
	b.x.set(func(x *exchange) {
		x.body = strings.TrimSpace(strings.ToValidUTF8(string(text[:min(len(text), maxComplaint)]), "\uFFFD"))
	})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

type readCloser struct {
	io.Reader
	io.Closer
}
