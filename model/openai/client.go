package openai

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model"
)

// Options configure a [Client]. The zero value talks to OpenAI without a key.
type Options struct {
	// Name stands in errors and decides about rows of the failure table that
	// are about one provider. Empty means "openai" where BaseURL is empty,
	// else the host of BaseURL.
	Name string
	// BaseURL is what /chat/completions is put behind; a query is kept. Empty
	// means https://api.openai.com/v1.
	BaseURL string
	// Key is sent as a bearer token. Empty means none is sent.
	Key string
	// Header is sent with every request, besides what this package sets.
	Header http.Header
	// FirstToken is how long the first piece of an answer may take. Zero means
	// 60 seconds; below zero means no limit.
	FirstToken time.Duration
	// Progress is how long the next piece may take. Zero means 30 seconds;
	// below zero means no limit.
	Progress time.Duration
	// NoUsage leaves out stream_options, for servers that refuse the field.
	NoUsage bool
	// HTTP sends the requests. Nil means a client of its own without a
	// timeout. Its CheckRedirect is not used.
	HTTP *http.Client
}

// Client is a [model.Provider]. It is safe for concurrent use.
type Client struct {
	options Options
	url     string
	http    *http.Client
}

var _ model.Provider = (*Client)(nil)

// New returns a client. Errors are of [daruma.KindInvalid]: a base URL that is
// not http or https, or carries a password; a key with a line break.
func New(o Options) (*Client, error) {
	const op = "openai.New"
	if o.BaseURL == "" {
		o.BaseURL = "https://api.openai.com/v1"
		if o.Name == "" {
			o.Name = "openai"
		}
	}
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		shown := model.Redact(o.BaseURL, o.Key)
		if at := strings.LastIndex(shown, "@"); at >= 0 {
			shown = "[secret]" + shown[at:]
		}
		return nil, daruma.Fail(op, daruma.KindInvalid, "base URL is %q; accepted: http or https with a host and no password, such as http://127.0.0.1:8080/v1", shown)
	}
	if strings.ContainsFunc(o.Key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, daruma.Fail(op, daruma.KindInvalid, "key holds a line break or another control character; accepted: one line")
	}
	if o.Name == "" {
		o.Name = u.Hostname()
		if o.Name == "api.openai.com" {
			o.Name = "openai"
		}
	}
	if o.FirstToken == 0 {
		o.FirstToken = 60 * time.Second
	}
	if o.Progress == 0 {
		o.Progress = 30 * time.Second
	}
	c := &http.Client{Transport: http.DefaultTransport}
	if o.HTTP != nil {
		copied := *o.HTTP
		c = &copied
	}
	c.CheckRedirect = sameHost
	return &Client{options: o, url: u.JoinPath("chat/completions").String(), http: c}, nil
}

// sameHost follows a redirect within the host, so that no key leaves it.
func sameHost(next *http.Request, via []*http.Request) error {
	if len(via) > 3 || next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme || next.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	return nil
}

const streamOp = "openai.Stream"

// Stream sends the request and yields the answer; see [model.Provider].
func (c *Client) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	p := model.Patience{FirstToken: c.options.FirstToken, Progress: c.options.Progress}
	caller := ctx
	return p.Watch(ctx, func(ctx context.Context) iter.Seq2[model.Chunk, error] {
		return func(yield func(model.Chunk, error) bool) {
			if err := c.stream(ctx, caller, r, yield); err != nil && err != errLeft {
				yield(model.Chunk{}, err)
			}
		}
	})
}

// errLeft says that the caller wants no more.
var errLeft = errors.New("the caller left")

// stream makes the call under ctx, which ends with that of the caller or when
// a deadline of the answer passes.
func (c *Client) stream(ctx, caller context.Context, r *model.Request, yield func(model.Chunk, error) bool) error {
	if err := r.Check(); err != nil {
		return err
	}
	body, err := c.encode(r)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return daruma.Fail(streamOp, daruma.KindInvalid, "%w", err)
	}
	for k, v := range c.options.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if c.options.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.options.Key)
	}
	if r.Key != "" {
		req.Header.Set("Idempotency-Key", r.Key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, err, daruma.KindUnavailable)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return c.refused(ctx, res)
	}
	d := &decoder{client: c, header: res.Header, yield: yield}
	in := model.NewEvents(res.Body)
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	switch first := in.First(); {
	case first == '{', first == '[', first == '<', kind == "text/html":
		body, err := io.ReadAll(io.LimitReader(in, model.MaxReply+1))
		if err != nil {
			return c.lost(ctx, err, daruma.KindBroken)
		}
		if len(body) > model.MaxReply {
			return daruma.Fail(streamOp, daruma.KindBroken, "the answer is larger than %d bytes", model.MaxReply)
		}
		return d.whole(body)
	}
	for {
		e, err := in.Next()
		switch {
		case err == nil:
			if done, err := d.event(e); done || err != nil {
				return err
			}
		case err == io.EOF || d.finished && caller.Err() == nil:
			return d.end() // what follows a finish reason is not missed
		case err == model.ErrLongEvent:
			return daruma.Fail(streamOp, daruma.KindBroken, "an event of the stream is larger than %d bytes", model.MaxEvent)
		default:
			return c.lost(ctx, err, daruma.KindBroken)
		}
	}
}

// refused reads an answer that is a failure.
func (c *Client) refused(ctx context.Context, res *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(res.Body, model.MaxBody))
	if err != nil && ctx.Err() != nil {
		return c.lost(ctx, err, daruma.KindUnavailable)
	}
	return c.classify(res.StatusCode, res.Header, body)
}

func (c *Client) classify(status int, h http.Header, body []byte) error {
	return model.Classify(model.Facts{
		Provider: c.options.Name, Status: status, Header: h, Body: body,
		Now: time.Now(), Secrets: []string{c.options.Key},
	}).Failure(streamOp)
}

// lost says what a failed connection means.
func (c *Client) lost(ctx context.Context, err error, kind daruma.Kind) error {
	if ctx.Err() != nil {
		return &daruma.Failure{Op: streamOp, Kind: daruma.KindOf(ctx.Err()), Err: context.Cause(ctx)}
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the URL, which may carry a key
	}
	text := model.Redact(err.Error(), c.options.Key)
	return (&model.Error{Provider: c.options.Name, Text: text, Kind: kind}).Failure(streamOp)
}
