package anthropic

import (
	"bytes"
	"context"
	"encoding/json"
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

// BaseURL is where Anthropic itself serves.
const BaseURL = "https://api.anthropic.com"

// Options configure a [Client]. The zero value talks to Anthropic without a key.
type Options struct {
	// Name stands in errors and decides about rows of the failure table that
	// are about one provider. Empty means "anthropic" where BaseURL is empty or
	// Anthropic's own, else the host of BaseURL.
	Name string
	// BaseURL is what /v1/messages is put behind; a /v1 at its end is not
	// doubled, and a query is kept. Empty means [BaseURL].
	BaseURL string
	// Key is sent as x-api-key. Empty means none is sent.
	Key string
	// Bearer sends Key as a bearer token, as gateways want it.
	Bearer bool
	// Version is sent as anthropic-version. Empty means "2023-06-01".
	Version string
	// Header is sent with every request, besides what this package sets:
	// anthropic-beta, for example.
	Header http.Header
	// MaxOutput bounds an answer in tokens where the request does not; the API
	// wants a number. Zero means 8192.
	MaxOutput int64
	// FirstToken is how long the first piece of an answer may take. Below zero
	// means no limit. Zero means 60 seconds; 5 minutes for a request with
	// thinking, which may not be shown while it goes on; 10 minutes with Whole.
	FirstToken time.Duration
	// Progress is how long the next piece may take. Below zero means no limit.
	// Zero means 30 seconds; 5 minutes for a request with thinking.
	Progress time.Duration
	// Whole asks for answers in one piece, for networks that spoil streams.
	Whole bool
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
// not http or https, or carries a password; a key or version with a line
// break; a negative MaxOutput.
func New(o Options) (*Client, error) {
	const op = "anthropic.New"
	if o.BaseURL == "" {
		o.BaseURL = BaseURL
	}
	u, err := url.Parse(o.BaseURL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		shown := model.Redact(o.BaseURL, o.Key)
		if at := strings.LastIndex(shown, "@"); at >= 0 {
			shown = "[secret]" + shown[at:]
		}
		return nil, daruma.Fail(op, daruma.KindInvalid, "base URL is %q; accepted: http or https with a host and no password, such as http://127.0.0.1:8080", shown)
	}
	if o.Version == "" {
		o.Version = "2023-06-01"
	}
	for name, value := range map[string]string{"key": o.Key, "version": o.Version} {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, daruma.Fail(op, daruma.KindInvalid, "%s holds a line break or another control character; accepted: one line", name)
		}
	}
	if o.MaxOutput < 0 {
		return nil, daruma.Fail(op, daruma.KindInvalid, "max output is %d; accepted: 0 for the default, or more", o.MaxOutput)
	}
	if o.MaxOutput == 0 {
		o.MaxOutput = 8192
	}
	if o.Name == "" {
		o.Name = u.Hostname()
		if o.Name == "api.anthropic.com" {
			o.Name = "anthropic"
		}
	}
	c := &http.Client{Transport: http.DefaultTransport}
	if o.HTTP != nil {
		copied := *o.HTTP
		c = &copied
	}
	c.CheckRedirect = sameHost
	path := "v1/messages"
	if strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1") {
		path = "messages"
	}
	return &Client{options: o, url: u.JoinPath(path).String(), http: c}, nil
}

// sameHost follows a redirect within the host, so that no key leaves it.
func sameHost(next *http.Request, via []*http.Request) error {
	if len(via) > 3 || next.URL.Host != via[0].URL.Host || next.URL.Scheme != via[0].URL.Scheme || next.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	return nil
}

const streamOp = "anthropic.Stream"

// Stream sends the request and yields the answer; see [model.Provider].
func (c *Client) Stream(ctx context.Context, r *model.Request) iter.Seq2[model.Chunk, error] {
	return c.patience(r).Watch(ctx, func(ctx context.Context) iter.Seq2[model.Chunk, error] {
		return func(yield func(model.Chunk, error) bool) {
			d := &decoder{client: c, model: r.Model, names: make(map[string]string, len(r.Tools)), yield: yield}
			for own, wire := range wireNames(r.Tools) {
				d.names[wire] = own
			}
			err := c.stream(ctx, r, d)
			if err == errLeft || err != nil && d.bill() == errLeft {
				return
			}
			if err != nil {
				yield(model.Chunk{}, err)
			}
		}
	})
}

func (c *Client) patience(r *model.Request) model.Patience {
	p := model.Patience{FirstToken: c.options.FirstToken, Progress: c.options.Progress}
	first, next := 60*time.Second, 30*time.Second
	if thinks(r.Extra["thinking"]) {
		first, next = 5*time.Minute, 5*time.Minute
	}
	if c.options.Whole {
		first = 10 * time.Minute
	}
	if p.FirstToken == 0 {
		p.FirstToken = first
	}
	if p.Progress == 0 {
		p.Progress = next
	}
	return p
}

// errLeft says that the caller wants no more.
var errLeft = errors.New("the caller left")

func (c *Client) stream(ctx context.Context, r *model.Request, d *decoder) error {
	if err := r.Check(); err != nil {
		return err
	}
	body, err := c.encode(r)
	if err != nil {
		return err
	}
	req, err := c.request(ctx, body, r.Key)
	if err != nil {
		return daruma.Fail(streamOp, daruma.KindInvalid, "%w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.lost(ctx, err, daruma.KindUnavailable)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return c.refused(ctx, res)
	}
	d.header = res.Header
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
		switch e, err := in.Next(); err {
		case nil:
			if done, err := d.event(e); done || err != nil {
				return err
			}
		case io.EOF:
			return daruma.Fail(streamOp, daruma.KindBroken, "the stream ended without its end mark, message_stop")
		case model.ErrLongEvent:
			return daruma.Fail(streamOp, daruma.KindBroken, "an event of the stream is larger than %d bytes", model.MaxEvent)
		default:
			return c.lost(ctx, err, daruma.KindBroken)
		}
	}
}

func (c *Client) request(ctx context.Context, body json.RawMessage, key string) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for k, v := range c.options.Header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if c.options.Whole {
		req.Header.Set("Accept", "application/json")
	}
	req.Header.Set("Anthropic-Version", c.options.Version)
	switch {
	case c.options.Key == "":
	case c.options.Bearer:
		req.Header.Set("Authorization", "Bearer "+c.options.Key)
	default:
		req.Header.Set("X-Api-Key", c.options.Key)
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	return req, nil
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
