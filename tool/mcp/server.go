package mcp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/check"
	"github.com/daruma-run/daruma/tool"
)

// Server is a server that was reached. Make one with [Start]. It is safe for
// concurrent use. Close it when no call is made any more.
type Server struct {
	config Config
	log    *logger
	tools  []tool.Tool
	names  []string          // the server's own, in the same order
	pins   map[string]string // of the tools, by the server's name
	life   context.Context
	end    context.CancelFunc

	turn chan struct{} // holds one token while the fields below are used
	now  *session      // nil: none
	fell int           // how often it died, or did not come up, since a call went well
	next time.Time     // not started again before
}

// Start starts the server, or reaches it, and reads which tools it has. It
// returns when they are known.
//
// Errors: KindInvalid for a configuration that cannot be, a program that is not
// there, a tool of the configuration that the server does not have, a schema
// that does not compile, a name that no model accepts, and a pin that does not
// fit; KindUnauthorized; KindUnavailable where the server does not come up;
// KindBroken for one that is no MCP server; KindTimeout and KindCancelled of
// ctx.
func Start(ctx context.Context, config Config) (*Server, error) {
	if err := config.fill(); err != nil {
		return nil, err
	}
	s := &Server{config: config, log: &logger{w: config.Log}, pins: map[string]string{}, turn: make(chan struct{}, 1)}
	s.life, s.end = context.WithCancel(context.Background())
	within, cancel := context.WithTimeout(ctx, config.StartTimeout)
	defer cancel()
	session, list, err := s.open(within)
	if err == nil {
		if err = s.adopt(list); err != nil {
			session.stop()
		}
	}
	if err != nil {
		s.end()
		return nil, s.startError(ctx, err)
	}
	session.compare(&s.config, s.pins, list)
	s.now = session
	return s, nil
}

// startError gives the error of a start its kind and the server's name.
func (s *Server) startError(ctx context.Context, err error) error {
	kind := daruma.KindOf(err)
	switch {
	case ctx.Err() != nil:
		kind = daruma.KindOf(ctx.Err())
	case errors.Is(err, context.DeadlineExceeded):
		kind = daruma.KindUnavailable
		err = fmt.Errorf("it did not come up within %v", s.config.StartTimeout)
	case kind == daruma.KindUnknown:
		kind = daruma.KindUnavailable
	}
	if last := s.log.last(); last != "" {
		err = fmt.Errorf("%w; it said: %s", err, last)
	}
	if f, ok := err.(*daruma.Failure); ok && f.Op != "" {
		return err
	}
	return &daruma.Failure{Op: "mcp." + s.config.Name, Kind: kind, Err: err}
}

// open makes a session and reads its list.
func (s *Server) open(ctx context.Context) (*session, []definition, error) {
	session, err := s.config.dial(ctx, s.log)
	if err != nil {
		return nil, nil, err
	}
	list, err := session.list(ctx, &s.config)
	if err != nil {
		session.stop()
		return nil, nil, err
	}
	return session, list, nil
}

// adopt makes tools of the definitions and pins them.
func (s *Server) adopt(list []definition) error {
	c := &s.config
	var offered []string
	effects := map[string]daruma.Effect{}
	byName := map[string]string{}
	for _, d := range list {
		offered = append(offered, d.name)
		spec := c.spec(d.name, d.hints, d.pin)
		effects[d.name] = spec.Effect
		t := tool.Tool{Spec: spec, Description: d.description, Schema: d.schema, Do: s.do(d.name, spec)}
		if c.Tools[d.name].Verify != nil {
			t.Verify = s.verify(d.name)
		}
		if _, err := check.Compile(d.schema); err != nil {
			return invalid(c, "tool %q: %w; deny it to go on without", d.name, err)
		}
		probe := t
		probe.Spec.Alternatives = nil
		if _, err := tool.NewSet(probe); err != nil {
			return invalid(c, "%w; deny %q to go on without", err, d.name)
		}
		if before, twice := byName[spec.Name]; twice {
			return invalid(c, "tools %q and %q would both be called %q; deny one of them", before, d.name, spec.Name)
		}
		byName[spec.Name] = d.name
		if want := c.Tools[d.name].Pin; want != "" && want != d.pin {
			return invalid(c, "tool %q has the pin %s, not %s: its description or schema changed; look at it, then put the new pin down", d.name, d.pin, want)
		}
		s.tools, s.names = append(s.tools, t), append(s.names, d.name)
		s.pins[d.name] = d.pin
	}
	for _, name := range c.Allow {
		if !slices.Contains(offered, name) {
			return s.unknown("allow", name, offered)
		}
	}
	for name, t := range c.Tools {
		if !slices.Contains(offered, name) {
			return s.unknown("tools", name, offered)
		}
		if t.Verify != nil {
			if effect, ok := effects[t.Verify.Tool]; !ok || effect != daruma.Read {
				return invalid(c, "tool %q is verified with %q; accepted: a tool of the server that is allowed and has the effect read", name, t.Verify.Tool)
			}
		}
	}
	return nil
}

func (s *Server) unknown(where, name string, offered []string) error {
	return invalid(&s.config, "%s names %q, which the server does not have; it has: %s", where, name, strings.Join(offered, ", "))
}

// Tools returns the tools, in the order of the server. They live as long as
// the Server.
func (s *Server) Tools() []tool.Tool { return slices.Clone(s.tools) }

// Names returns the server's own name of each of [Server.Tools].
func (s *Server) Names() []string { return slices.Clone(s.names) }

// Close ends the server, and whatever calls are in flight. It returns when the
// process is gone. Closing again does nothing.
func (s *Server) Close() {
	s.end()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	if s.now != nil {
		s.now.stop()
		s.now = nil
	}
}

// delay is how long a server that fell n times is left alone.
func delay(n int) time.Duration {
	const first, most = 200 * time.Millisecond, 30 * time.Second
	if n <= 1 {
		return 0
	}
	return min(first<<min(n-2, 20), most)
}

// ready returns a session whose tools are known, and starts the server again
// where it is gone. Its errors mean that nothing was sent.
func (s *Server) ready(ctx context.Context) (*session, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, tool.Refuse(&daruma.Failure{Kind: daruma.KindOf(ctx.Err()), Err: context.Cause(ctx)})
	}
	if s.life.Err() != nil {
		return nil, tool.Retry(fmt.Errorf("the server %s is being stopped", s.config.Name), 0)
	}
	if s.now != nil && !s.now.alive() {
		s.now.stop()
		s.now = nil
		s.fall()
	}
	if s.now != nil && !s.now.stale.Swap(false) {
		return s.now, nil
	}
	if s.now != nil {
		list, err := s.now.list(ctx, &s.config)
		if err != nil {
			s.now.stale.Store(true)
			return nil, unavailable(fmt.Errorf("the server %s said that its tools changed, and does not say how: %w", s.config.Name, err), 0)
		}
		s.now.compare(&s.config, s.pins, list)
		return s.now, nil
	}
	if wait := time.Until(s.next); wait > 0 {
		return nil, unavailable(fmt.Errorf("the server %s fell %d times and is left alone for now", s.config.Name, s.fell), wait)
	}
	within, cancel := context.WithTimeout(ctx, s.config.StartTimeout)
	defer cancel()
	session, list, err := s.open(within)
	if err != nil {
		if ctx.Err() == nil {
			s.fall()
		}
		return nil, unavailable(fmt.Errorf("the server %s does not come up again: %w", s.config.Name, hide(err)), time.Until(s.next))
	}
	session.compare(&s.config, s.pins, list)
	s.now = session
	return session, nil
}

// fall counts a death. It is called while turn is held.
func (s *Server) fall() {
	s.fell++
	s.next = time.Now().Add(delay(s.fell))
}

// well notes that the server answered.
func (s *Server) well() {
	select {
	case s.turn <- struct{}{}:
		s.fell = 0
		<-s.turn
	default: // the next answer says so again
	}
}
