package tool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/daruma-run/daruma"
)

// maxBody is how much of an answer is read at most, whatever a set allows.
const maxBody = 16 << 20

// maxComplaint is how much of the body of a failed call is told the model.
const maxComplaint = 1 << 10

// HTTP makes a tool that posts its arguments as JSON to a URL. The idempotency
// key travels in the header Idempotency-Key. The URL comes from the
// configuration; models have no influence on it. A nil client means one with
// the default transport; redirects are not followed, whatever the client says.
//
// What an answer means:
//   - 2xx: the body is the result,
//   - 408, 409, 429, 501, 503 and other 5xx: failed without effect, may work
//     later (KindTimeout, KindConflict, KindRateLimited, KindUnavailable), with
//     the wait that Retry-After asks for,
//   - 500, 502 and 504: the server broke off at some point, or a proxy lost the
//     answer, and neither proves that nothing happened: in doubt for tools with
//     effects, KindUnavailable for reads,
//   - 401, 403: KindUnauthorized; 402: KindQuota; 3xx, 404, 410: KindNotFound;
//     413: KindOverflow; other 4xx: KindInvalid; all without effect,
//   - no connection: KindUnavailable, without effect,
//   - a timeout or a cut connection after the request was sent: in doubt for
//     tools with effects.
//
// HTTP panics if the URL is no absolute http or https URL.
func HTTP(spec daruma.ToolSpec, description string, schema json.RawMessage, target string, client *http.Client) Tool {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		panic(fmt.Sprintf("tool.HTTP: tool %q has a bad URL; accepted: http://… or https://…", spec.Name))
	}
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	h := &remote{spec: spec, target: target, client: &own}
	return Tool{Spec: spec, Description: description, Schema: schema, Do: h.do}
}

// remote is a tool behind a URL.
type remote struct {
	spec   daruma.ToolSpec
	target string
	client *http.Client
}

// lost says that a request was sent and its answer did not come.
func (h *remote) lost(ctx context.Context, err error) error {
	switch {
	case h.spec.Effect != daruma.Read:
		return Doubt(err)
	case ctx.Err() != nil:
		return &daruma.Failure{Kind: ended(ctx), Err: err}
	}
	return Retry(err, 0)
}

func (h *remote) do(ctx context.Context, call Call) (Result, error) {
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.target, bytes.NewReader(call.Args))
	if err != nil {
		return Result{}, Refuse(hide(err))
	}
	// With GetBody the transport would send a request with an idempotency key
	// a second time on its own.
	req.GetBody = nil
	// A connection that was kept open may turn out to be dead only after the
	// request was written, which would leave a call in doubt for nothing.
	req.Close = h.spec.Effect == daruma.Unsafe
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/*;q=0.9, */*;q=0.1")
	if call.Key != "" {
		req.Header.Set("Idempotency-Key", call.Key)
	}
	resp, err := h.client.Do(req)
	switch {
	case err != nil && sent.Load():
		return Result{}, h.lost(ctx, fmt.Errorf("the answer did not come: %w", hide(err)))
	case err != nil && ctx.Err() != nil:
		return Result{}, &daruma.Failure{Kind: ended(ctx), Err: certain{context.Cause(ctx)}}
	case err != nil:
		return Result{}, Retry(fmt.Errorf("no connection: %w", hide(err)), 0)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return Result{}, h.refusal(resp, body)
	case err != nil:
		return Result{}, h.lost(ctx, fmt.Errorf("the answer was cut after %d bytes: %w", len(body), hide(err)))
	case len(body) > maxBody && h.spec.Effect == daruma.Read:
		return Result{}, &daruma.Failure{Kind: daruma.KindBroken, Err: fmt.Errorf("the answer is larger than %d bytes", maxBody)}
	case len(body) > maxBody:
		return Result{Text: fmt.Sprintf("The call succeeded, but its result is larger than %d bytes and is left out.", maxBody)}, nil
	}
	return Result{Text: string(body), Replayed: strings.EqualFold(resp.Header.Get("Idempotent-Replayed"), "true")}, nil
}

// hide drops the URL of an error: it may hold a secret, and models read it.
func hide(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// refusal says what a status other than 2xx means.
func (h *remote) refusal(resp *http.Response, body []byte) error {
	text := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), maxComplaint)]), "\uFFFD"))
	err := fmt.Errorf("status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	if text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	kind := daruma.KindInvalid
	switch code := resp.StatusCode; {
	case h.spec.Effect != daruma.Read &&
		(code == http.StatusInternalServerError || code == http.StatusBadGateway || code == http.StatusGatewayTimeout):
		return Doubt(err)
	case code < 400:
		kind = daruma.KindNotFound
		err = fmt.Errorf("%w: redirects are not followed", err)
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		kind = daruma.KindUnauthorized
	case code == http.StatusPaymentRequired:
		kind = daruma.KindQuota
	case code == http.StatusNotFound, code == http.StatusGone:
		kind = daruma.KindNotFound
	case code == http.StatusRequestTimeout:
		kind = daruma.KindTimeout
	case code == http.StatusConflict:
		kind = daruma.KindConflict
	case code == http.StatusRequestEntityTooLarge:
		kind = daruma.KindOverflow
	case code == http.StatusTooManyRequests:
		kind = daruma.KindRateLimited
	case code >= 500:
		kind = daruma.KindUnavailable
	}
	return &daruma.Failure{Kind: kind, Err: certain{later{err, wait(resp.Header.Get("Retry-After"))}}}
}

// wait reads a Retry-After header: seconds or a date, at most a day.
func wait(header string) time.Duration {
	const most = 24 * time.Hour
	if n, err := strconv.ParseInt(strings.TrimSpace(header), 10, 64); err == nil {
		return time.Duration(min(max(n, 0), int64(most/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(t), 0), most)
	}
	return 0
}
