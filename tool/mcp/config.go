package mcp

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
)

// Config says how to reach a server and what its tools do. Name and one of
// Command and URL are needed.
type Config struct {
	// Name is what messages call the server.
	Name string

	// Command is the program, looked up in PATH where it has no slash. It must
	// come from whoever runs this process, never from a request.
	Command string
	// Args are its arguments.
	Args []string
	// Dir is its working directory. Empty means that of this process.
	Dir string
	// Env are variables for it, as NAME=value, beside the few that every
	// program gets.
	Env []string
	// Log takes what it writes to standard error, and its log messages. It is
	// used by one goroutine at a time. Nil means nowhere.
	Log io.Writer
	// Lock is a file that is held as long as the process lives, whoever started
	// it. Start waits until a process of before has let go of it. Empty means
	// none. It has no meaning on Windows.
	Lock string
	// Grace is how long the process may take to end at each of the three steps.
	// Zero means 2 seconds.
	Grace time.Duration

	// URL is the address of a server that speaks streamable HTTP.
	URL string
	// Header is sent with every request.
	Header http.Header
	// Transport performs the requests. Nil means [http.DefaultTransport].
	Transport http.RoundTripper

	// Prefix is put in front of the names of all tools.
	Prefix string
	// Allow names the tools that are taken. Empty means all.
	Allow []string
	// Deny names tools that are not taken.
	Deny []string
	// Tools says what tools do, by the server's own names.
	Tools map[string]Tool
	// TrustAnnotations believes what the server says of tools whose effect is
	// not given here.
	TrustAnnotations bool
	// KeyMeta is the field of _meta in which idempotency keys travel. Empty
	// means that they do not.
	KeyMeta string
	// Timeout is the deadline of tools that declare none. Zero means 30 seconds.
	Timeout time.Duration
	// StartTimeout is how long the server may take until its tools are known.
	// Zero means 30 seconds.
	StartTimeout time.Duration
	// Protocol is the version of MCP to ask for. Empty means the newest.
	Protocol string
}

// Tool says what one tool of a server does. The zero Tool is unsafe.
type Tool struct {
	// Spec declares it. Name, Effect, Verify and Pin are filled in.
	Spec daruma.ToolSpec
	// Effect is what it does to the world. Nil means [daruma.Unsafe], or what
	// the annotations say where they are trusted.
	Effect *daruma.Effect
	// KeyArgument is the argument in which the idempotency key travels. Models
	// do not see it.
	KeyArgument string
	// KeyMeta is that of the server, for this tool. Empty means the server's.
	KeyMeta string
	// Verify finds out whether a call happened. Nil means that nothing can.
	Verify *Verify
	// Pin is the digest that the definition must have. Empty means any at the
	// start, and the same from then on.
	Pin string
}

// Verify asks another tool of the server, one that only reads, and looks for
// texts in its result. Places such as ${args.path} or ${args.edits.0.newText}
// in Arguments, Done and Absent are filled in by [daruma.FillPlaces] from the
// arguments of the call; ${key} is its idempotency key.
//
// The call happened if the result contains Done and not Absent; it did not if
// it is the other way round, or, with no Absent, if Done is not there. All else
// is in doubt, a text that is empty once filled in included.
type Verify struct {
	Tool      string
	Arguments map[string]any
	Done      string
	Absent    string
}

func invalid(c *Config, format string, args ...any) error {
	return daruma.Fail("mcp."+c.Name, daruma.KindInvalid, format, args...)
}

// fill checks the configuration as far as that goes without the server, and
// puts defaults in.
func (c *Config) fill() error {
	c.Grace = cmp.Or(max(c.Grace, 0), 2*time.Second)
	c.StartTimeout = cmp.Or(max(c.StartTimeout, 0), 30*time.Second)
	c.Timeout = cmp.Or(max(c.Timeout, 0), 30*time.Second)
	switch {
	case (c.Command == "") == (c.URL == ""):
		return invalid(c, "command is %q and url %q; accepted: one of them", c.Command, hideURL(c.URL))
	case c.URL != "":
		if u, err := url.Parse(c.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return invalid(c, "the url is no web address; accepted: http://… or https://…")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Tools)) {
		if err := c.checkTool(name, c.Tools[name]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkTool(name string, t Tool) error {
	effect := daruma.Unsafe
	if t.Effect != nil {
		effect = *t.Effect
	}
	keyed := t.KeyArgument != "" || t.KeyMeta != "" || c.KeyMeta != ""
	switch {
	case (effect == daruma.Keyed || effect == daruma.Payment) && !keyed:
		return invalid(c, "tool %q has the effect %v, and nothing carries its idempotency key; accepted: with a key argument or a key in _meta", name, effect)
	case effect == daruma.Transactional:
		return invalid(c, "tool %q has the effect transactional, which needs your own database; accepted: read, idempotent, keyed, payment, unsafe", name)
	case !c.takes(name):
		return invalid(c, "tool %q is configured, but not allowed", name)
	case t.Verify == nil && t.Spec.OnDoubt == daruma.DoubtVerify:
		return invalid(c, "tool %q has on_doubt verify, but nothing to verify with", name)
	case t.Verify != nil && (t.Verify.Tool == "" || t.Verify.Done == ""):
		return invalid(c, "tool %q: verify needs a tool and the text that is there when it is done", name)
	case t.Verify == nil:
		return nil
	}
	if err := daruma.CheckPlaces([]any{map[string]any(t.Verify.Arguments), t.Verify.Done, t.Verify.Absent}, "args", "key"); err != nil {
		return invalid(c, "tool %q: verify: %w", name, unwrapped(err))
	}
	return nil
}

// takes reports whether a tool of the server is wanted.
func (c *Config) takes(name string) bool {
	return (len(c.Allow) == 0 || slices.Contains(c.Allow, name)) && !slices.Contains(c.Deny, name)
}

// spec is the declaration of a tool of the server.
func (c *Config) spec(name string, hints hints, pin string) daruma.ToolSpec {
	t := c.Tools[name]
	spec := t.Spec
	spec.Name, spec.Pin, spec.Verify = c.exposed(name), pin, t.Verify != nil
	switch {
	case t.Effect != nil:
		spec.Effect = *t.Effect
	case c.TrustAnnotations && hints.read:
		spec.Effect = daruma.Read
	case c.TrustAnnotations && hints.idempotent:
		spec.Effect = daruma.Idempotent
	default:
		spec.Effect = daruma.Unsafe
	}
	if spec.Timeout == 0 {
		spec.Timeout = daruma.Duration(c.Timeout)
	}
	return spec
}

// exposed is the name under which models know a tool: characters that not
// every provider accepts become underscores.
func (c *Config) exposed(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, c.Prefix+name)
}

// hideURL drops what may be a secret.
func hideURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || text == "" {
		return ""
	}
	return fmt.Sprintf("%s://%s", u.Scheme, u.Host)
}
