package mcp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// maxMessage is how large one message of a server may be.
const maxMessage = 16 << 20

var errLarge = fmt.Errorf("the server sent more than %d bytes in one message", maxMessage)

// streams is the transport over the standard streams of a process.
type streams struct {
	p *process
}

// Connect implements [sdk.Transport].
func (s streams) Connect(ctx context.Context) (sdk.Connection, error) {
	out := &counted{w: s.p.stdin}
	inner, err := (&sdk.IOTransport{Reader: &lines{r: s.p.stdout}, Writer: out, MaxLineLength: -1}).Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &pipe{Connection: inner, out: out, stuck: func() { kill(s.p.cmd) }}, nil
}

// pipe is a connection that knows whether a request left this process.
type pipe struct {
	sdk.Connection
	stuck func()

	mu  sync.Mutex
	out *counted
}

// patience is how long a write may take once nobody waits for it any more.
const patience = time.Second

// Write implements [sdk.Connection]. A server that does not read its input
// would keep callers past their deadlines, and the half message in the pipe
// cannot be taken back: it is ended.
func (p *pipe) Write(ctx context.Context, m jsonrpc.Message) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := make(chan struct{})
	defer close(written)
	defer context.AfterFunc(ctx, func() {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-written:
		case <-timer.C:
			p.stuck()
		}
	})()
	x := &exchange{}
	if r, ok := m.(*jsonrpc.Request); ok && r.Method == "tools/call" {
		x = exchangeOf(ctx)
	}
	before := p.out.n
	err := p.Connection.Write(ctx, m)
	x.set(func(x *exchange) { x.sent = p.out.n > before })
	return err
}

// counted counts what was written. Its fields are guarded by pipe.mu.
type counted struct {
	w io.WriteCloser
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func (c *counted) Close() error { return c.w.Close() }

// lines reads lines that are not too long.
type lines struct {
	r io.ReadCloser
	n int // bytes of the line so far
}

func (l *lines) Read(b []byte) (int, error) {
	n, err := l.r.Read(b)
	if i := bytes.LastIndexByte(b[:n], '\n'); i >= 0 {
		l.n = n - i - 1
	} else {
		l.n += n
	}
	if l.n > maxMessage {
		return 0, errLarge
	}
	return n, err
}

func (l *lines) Close() error { return l.r.Close() }

// tooLarge reports whether a session ended because of a message's size.
func tooLarge(err error) bool { return errors.Is(err, errLarge) }
