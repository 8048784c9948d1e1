package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/daruma-run/daruma"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// session is one connection to the server, from the handshake to its end.
type session struct {
	*sdk.ClientSession
	stale atomic.Bool   // the server may have other tools than it had
	dead  chan struct{} // closed when the connection is gone
	lost  atomic.Bool   // it is going
	stop  func()        // ends it, whatever is in flight; returns when all is gone

	blocked map[string]error // by the server's name; written while Server.turn is held
	mu      sync.Mutex       // guards blocked
}

// alive reports whether calls can be made.
func (s *session) alive() bool {
	select {
	case <-s.dead:
		return false
	default:
		return !s.lost.Load()
	}
}

// why returns what keeps a tool from being called.
func (s *session) why(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.blocked[name]
}

// dial starts or reaches the server and shakes hands.
func (c *Config) dial(ctx context.Context, log *logger) (*session, error) {
	if c.URL != "" {
		return c.dialHTTP(ctx, log)
	}
	held, err := hold(ctx, c.Lock)
	if err != nil {
		return nil, err
	}
	p, err := begin(c, log, held)
	if held != nil {
		held.Close() // the process has it now
	}
	if err != nil {
		return nil, err
	}
	s, err := c.connect(ctx, streams{p}, log, p.stop)
	if err != nil {
		p.stop()
		if ctx.Err() == nil && p.err != nil {
			err = fmt.Errorf("the program ended (%w) before it spoke MCP: %w", p.err, err)
		}
		return nil, err
	}
	return s, nil
}

func (c *Config) dialHTTP(ctx context.Context, log *logger) (*session, error) {
	inner := c.Transport
	if inner == nil {
		inner = http.DefaultTransport
	}
	life, end := context.WithCancel(context.Background())
	transport := &sdk.StreamableClientTransport{Endpoint: c.URL, MaxEventSize: maxMessage, HTTPClient: &http.Client{
		Transport:     &requests{inner: inner, header: c.Header, life: life},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	x := &exchange{}
	s, err := c.connect(withExchange(ctx, x), transport, log, end)
	if err != nil {
		end()
		kind := daruma.KindOf(err)
		if _, status, _, _, _ := x.facts(); status == http.StatusUnauthorized || status == http.StatusForbidden {
			kind = daruma.KindUnauthorized
		}
		return nil, &daruma.Failure{Kind: kind, Err: hide(err)}
	}
	return s, nil
}

// connect shakes hands. The SDK's Connect and Close may outlast their contexts
// by far; end is what cuts them short, and must end everything below.
func (c *Config) connect(ctx context.Context, t sdk.Transport, log *logger, end func()) (*session, error) {
	s := &session{dead: make(chan struct{})}
	client := sdk.NewClient(&sdk.Implementation{Name: "daruma", Version: "1"}, &sdk.ClientOptions{
		Capabilities:           &sdk.ClientCapabilities{},
		MultiRoundTrip:         &sdk.MultiRoundTripOptions{Disabled: true}, // it sends calls again
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { s.stale.Store(true) },
		LoggingMessageHandler: func(_ context.Context, r *sdk.LoggingMessageRequest) {
			if text, err := json.Marshal(r.Params.Data); err == nil {
				log.line(fmt.Sprintf("%s: %s", r.Params.Level, text))
			}
		},
	})
	type connected struct {
		session *sdk.ClientSession
		err     error
	}
	result := make(chan connected, 1)
	go func() { // ends when end has cut its connection, at the latest
		session, err := client.Connect(ctx, t, &sdk.ClientSessionOptions{ProtocolVersion: c.Protocol})
		result <- connected{session, err}
	}()
	var got connected
	select {
	case got = <-result:
	case <-ctx.Done():
		end()
		if got = <-result; got.session != nil {
			got.session.Close()
		}
		return nil, fmt.Errorf("no handshake in time: %w", ctx.Err())
	}
	if got.err != nil {
		return nil, got.err
	}
	s.ClientSession = got.session
	go func() { // ends with the connection; stop waits for it
		s.Wait()
		close(s.dead)
	}()
	s.stop = sync.OnceFunc(func() {
		closed := make(chan struct{})
		go func() { // it says goodbye to HTTP servers that are well
			defer close(closed)
			s.Close()
		}()
		if c.URL != "" {
			select {
			case <-closed:
			case <-time.After(c.Grace):
			}
		}
		end()
		<-closed
		<-s.dead
	})
	return s, nil
}

// definition is a tool as the server describes it.
type definition struct {
	name        string
	description string
	schema      json.RawMessage
	hints       hints
	pin         string
}

// hints are what a server says of a tool's effect.
type hints struct{ read, idempotent bool }

// Bounds of what a server may list.
const (
	maxTools       = 1000
	maxPages       = 200
	maxDescription = 32 << 10
)

// list reads all pages of the server's tools that the configuration takes.
func (s *session) list(ctx context.Context, c *Config) ([]definition, error) {
	var all []definition
	seen := map[string]bool{}
	params := &sdk.ListToolsParams{}
	for page := 0; ; page++ {
		if page == maxPages {
			return nil, broken("the list of tools has more than %d pages", maxPages)
		}
		result, err := s.ListTools(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("the list of tools did not come: %w", hide(err))
		}
		for _, t := range result.Tools {
			d, err := c.define(t)
			switch {
			case err != nil:
				return nil, err
			case seen[t.Name]:
				return nil, broken("the list of tools has %q twice", t.Name)
			case len(seen) == maxTools:
				return nil, broken("the list has more than %d tools", maxTools)
			}
			seen[t.Name] = true
			if c.takes(t.Name) {
				all = append(all, d)
			}
		}
		if result.NextCursor == "" {
			return all, nil
		}
		if result.NextCursor == params.Cursor {
			return nil, broken("the list of tools does not go on after page %d", page+1)
		}
		params = &sdk.ListToolsParams{Cursor: result.NextCursor}
	}
}

// define reads the description of a tool.
func (c *Config) define(t *sdk.Tool) (definition, error) {
	d := definition{name: t.Name, description: t.Description}
	if d.description == "" {
		d.description = t.Title
	}
	if len(d.description) > maxDescription {
		return d, broken("the description of %q has %d bytes; accepted: at most %d", t.Name, len(d.description), maxDescription)
	}
	var err error
	if d.schema, err = json.Marshal(t.InputSchema); err != nil {
		return d, broken("the schema of %q: %w", t.Name, err)
	}
	if a := t.Annotations; a != nil && c.TrustAnnotations {
		d.hints = hints{a.ReadOnlyHint, a.IdempotentHint}
	}
	whole, err := json.Marshal(map[string]any{"description": d.description, "schema": d.schema, "hints": []bool{d.hints.read, d.hints.idempotent}})
	if err == nil {
		whole, err = daruma.Canonical(whole)
	}
	if err != nil {
		return d, broken("the definition of %q: %w", t.Name, err)
	}
	d.pin = daruma.DigestOf(whole).String()[:32]
	if key := c.Tools[t.Name].KeyArgument; key != "" && c.takes(t.Name) {
		d.schema, err = without(d.schema, key)
	}
	return d, err
}

// without takes a property out of a schema.
func without(schema json.RawMessage, name string) (json.RawMessage, error) {
	var s map[string]json.RawMessage
	var properties map[string]json.RawMessage
	var required []string
	err := json.Unmarshal(schema, &s)
	if err == nil && s["properties"] != nil {
		err = json.Unmarshal(s["properties"], &properties)
	}
	if _, ok := properties[name]; err != nil || !ok {
		return nil, broken("the key argument %q is no property of the schema", name)
	}
	delete(properties, name)
	if s["required"] != nil {
		if err := json.Unmarshal(s["required"], &required); err != nil {
			return nil, broken("the schema's required is no list of names")
		}
		kept := []string{}
		for _, r := range required {
			if r != name {
				kept = append(kept, r)
			}
		}
		s["required"], _ = json.Marshal(kept) // texts always encode
	}
	s["properties"], _ = json.Marshal(properties)
	return json.Marshal(s)
}

// broken is the error for a list that no server may give.
func broken(format string, args ...any) error {
	return daruma.Fail("", daruma.KindBroken, format, args...)
}

// compare blocks what is not any more what it was.
func (s *session) compare(c *Config, pins map[string]string, now []definition) {
	blocked := map[string]error{}
	for name := range pins {
		blocked[name] = &daruma.Failure{Kind: daruma.KindNotFound, Err: fmt.Errorf("the server %s does not offer %s any more", c.Name, name)}
	}
	for _, d := range now {
		if pin, known := pins[d.name]; known {
			delete(blocked, d.name)
			if pin != d.pin {
				blocked[d.name] = &daruma.Failure{Kind: daruma.KindDenied, Err: fmt.Errorf("the server %s has changed the description or schema of %s, and it is not called any more; a new start takes the new one over for new runs", c.Name, d.name)}
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked = blocked
}
