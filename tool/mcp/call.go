package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/tool"
	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// do returns the function of a tool.
func (s *Server) do(name string, spec daruma.ToolSpec) func(context.Context, tool.Call) (tool.Result, error) {
	t := s.config.Tools[name]
	meta := t.KeyMeta
	if meta == "" {
		meta = s.config.KeyMeta
	}
	return func(ctx context.Context, call tool.Call) (tool.Result, error) {
		args, err := call.Args, error(nil)
		if t.KeyArgument != "" && call.Key != "" {
			if args, err = withKey(args, t.KeyArgument, call.Key); err != nil {
				return tool.Result{}, tool.Refuse(err)
			}
		}
		params := &sdk.CallToolParams{Name: name, Arguments: args}
		if meta != "" && call.Key != "" {
			params.Meta = sdk.Meta{meta: call.Key}
		}
		result, err := s.send(ctx, spec.Effect, params)
		if err != nil {
			return tool.Result{}, err
		}
		if text := textOf(result); !result.IsError {
			return tool.Result{Text: text}, nil
		} else if text != "" {
			return tool.Result{}, tool.Refuse(errors.New(text[:min(len(text), maxError)]))
		}
		return tool.Result{}, tool.Refuse(fmt.Errorf("%s reports an error and does not say which", name))
	}
}

// maxError bounds the text of a result that is an error.
const maxError = 8 << 10

// withKey puts the idempotency key into the arguments.
func withKey(args json.RawMessage, name, key string) (json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(args, &fields); err != nil {
		return nil, fmt.Errorf("arguments: %w", err)
	}
	if fields == nil {
		fields = map[string]json.RawMessage{}
	}
	fields[name], _ = json.Marshal(key) // a text always encodes
	return json.Marshal(fields)
}

// send calls a tool of the server that is as it was. A session that turns out
// to be gone before the request was written is replaced, once.
func (s *Server) send(ctx context.Context, effect daruma.Effect, params *sdk.CallToolParams) (*sdk.CallToolResult, error) {
	for again := true; ; again = false {
		session, err := s.ready(ctx)
		if err != nil {
			return nil, err
		}
		if err := session.why(params.Name); err != nil {
			return nil, tool.Refuse(err)
		}
		result, err := s.call(ctx, session, effect, params)
		if err == nil || !again || session.alive() || !errors.Is(err, errUnsent) {
			return result, err
		}
	}
}

// errUnsent is part of the error of a request that was never written.
var errUnsent = errors.New("no connection")

// call sends one request and says what its answer means.
func (s *Server) call(ctx context.Context, session *session, effect daruma.Effect, params *sdk.CallToolParams) (*sdk.CallToolResult, error) {
	x := &exchange{}
	result, err := session.CallTool(withExchange(ctx, x), params)
	if err == nil {
		s.well()
		if !result.NeedsInput() {
			return result, nil
		}
		return nil, lost(effect, errors.New("the server asks for input in place of a result, which it was told that nobody gives"))
	}
	sent, status, wait, text, large := x.facts()
	fault, answered := errors.AsType[*jsonrpc.Error](err)
	answered = answered && fault.Code != rejected
	switch {
	case !sent && ctx.Err() != nil:
		return nil, tool.Refuse(&daruma.Failure{Kind: daruma.KindOf(ctx.Err()), Err: context.Cause(ctx)})
	case !sent && status == 0:
		if errors.Is(err, sdk.ErrConnectionClosed) {
			session.lost.Store(true)
		}
		return nil, unavailable(fmt.Errorf("%w: %w", errUnsent, hide(err)), 0)
	case status == http.StatusNotFound && errors.Is(err, sdk.ErrSessionMissing):
		return nil, unavailable(errors.New("the server has forgotten the session; the next call begins another"), 0)
	case answered:
		s.well()
		return nil, refusal(effect, fault)
	case status != 0 && (status < 200 || status > 299):
		return nil, byStatus(effect, status, text, wait)
	case large || tooLarge(err):
		if effect == daruma.Read {
			return nil, &daruma.Failure{Kind: daruma.KindBroken, Err: tool.Refuse(&daruma.Failure{Kind: daruma.KindBroken, Err: errLarge})}
		}
		return nil, tool.Doubt(errLarge)
	case ctx.Err() != nil:
		err = fmt.Errorf("no answer: %w", errors.Join(context.Cause(ctx), ctx.Err()))
		if effect == daruma.Read {
			return nil, &daruma.Failure{Kind: daruma.KindOf(ctx.Err()), Err: err}
		}
		return nil, tool.Doubt(err)
	}
	return nil, lost(effect, fmt.Errorf("the answer did not come: %w", hide(err)))
}

// rejected is the code of errors that the SDK makes itself.
const rejected = -32005

// lost is the error of a request that was sent and proved nothing.
func lost(effect daruma.Effect, err error) error {
	if effect == daruma.Read {
		return unavailable(err, 0)
	}
	return tool.Doubt(err)
}

// unavailable is the error of a call without effect that may work later.
func unavailable(err error, after time.Duration) error {
	return &daruma.Failure{Kind: daruma.KindUnavailable, Err: tool.Retry(err, max(after, 0))}
}

// refusal says what an error of the protocol means.
func refusal(effect daruma.Effect, fault *jsonrpc.Error) error {
	err := fmt.Errorf("the server answers with error %d: %s", fault.Code, fault.Message[:min(len(fault.Message), maxError)])
	kind := daruma.KindInvalid
	switch fault.Code {
	case jsonrpc.CodeInvalidParams, jsonrpc.CodeInvalidRequest, jsonrpc.CodeParseError:
	case jsonrpc.CodeMethodNotFound:
		kind = daruma.KindNotFound
	default:
		return lost(effect, err)
	}
	return tool.Refuse(&daruma.Failure{Kind: kind, Err: err})
}

// byStatus says what an HTTP status other than 2xx means, as [tool.HTTP] does.
func byStatus(effect daruma.Effect, status int, text, wait string) error {
	err := fmt.Errorf("status %d %s", status, http.StatusText(status))
	if text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	kind := daruma.KindInvalid
	switch {
	case status == http.StatusInternalServerError, status == http.StatusBadGateway, status == http.StatusGatewayTimeout:
		return lost(effect, err)
	case status < 400:
		kind, err = daruma.KindNotFound, fmt.Errorf("%w: redirects are not followed", err)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		kind = daruma.KindUnauthorized
	case status == http.StatusPaymentRequired:
		kind = daruma.KindQuota
	case status == http.StatusNotFound, status == http.StatusGone:
		kind = daruma.KindNotFound
	case status == http.StatusRequestTimeout:
		kind = daruma.KindTimeout
	case status == http.StatusConflict:
		kind = daruma.KindConflict
	case status == http.StatusRequestEntityTooLarge:
		kind = daruma.KindOverflow
	case status == http.StatusTooManyRequests:
		kind = daruma.KindRateLimited
	case status >= 500:
		kind = daruma.KindUnavailable
	}
	return &daruma.Failure{Kind: kind, Err: tool.Retry(err, after(wait))}
}

// after reads a Retry-After header, at most a day.
func after(header string) time.Duration {
	const most = 24 * time.Hour
	if n, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(t), 0), most)
	}
	return 0
}

// hide drops the URL of an error, and all in front of it: it may hold a
// secret, and models read it.
func hide(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
