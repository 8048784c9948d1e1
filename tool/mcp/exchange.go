package mcp

import (
	"context"
	"sync"
)

// exchange is what is known of one call on its way: whether its request left
// this process, and what the HTTP server said before MCP began. It travels in
// the context of the call. It is safe for concurrent use.
type exchange struct {
	mu     sync.Mutex
	taken  bool   // by the request of the call; what comes later is about something else
	sent   bool   // at least a part of it may have reached the server
	status int    // of the HTTP answer
	wait   string // Retry-After
	body   string // the beginning of an answer that is no success
	large  bool   // the answer was cut because it was too large
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf returns the exchange that the next request belongs to, once; a
// fresh one that nobody reads for all others.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.taken {
			x.taken = true
			return x
		}
	}
	return &exchange{taken: true}
}

func (x *exchange) set(f func(x *exchange)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f(x)
}

// facts returns a copy to read.
func (x *exchange) facts() (sent bool, status int, wait, body string, large bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sent, x.status, x.wait, x.body, x.large
}
