package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/daruma-run/daruma"
)

// VerifyHTTP returns the tool with a Verify that asks a URL whether a call
// happened: GET of target, in which {key} stands for the idempotency key. 2xx
// means that it happened, with the body as its result; 202 that it is being
// processed still, so that it is asked again later; 404 that it did not happen;
// anything else, and no answer, that nobody can say now.
//
// It panics if the URL is no absolute http or https URL or lacks {key}. A nil
// client means the default transport; redirects are not followed.
func VerifyHTTP(t Tool, target string, client *http.Client) Tool {
	u, err := url.Parse(strings.ReplaceAll(target, "{key}", "key"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || !strings.Contains(target, "{key}") {
		panic(fmt.Sprintf("tool.VerifyHTTP: tool %q has a bad URL; accepted: http://…/{key}", t.Spec.Name))
	}
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Spec.Verify = true
	t.Verify = func(ctx context.Context, call Call) (daruma.Outcome, Result, error) {
		return verify(ctx, &own, strings.ReplaceAll(target, "{key}", url.PathEscape(call.Key)))
	}
	return t
}

func verify(ctx context.Context, client *http.Client, target string) (daruma.Outcome, Result, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return daruma.Doubtful, Result{}, hide(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return daruma.Doubtful, Result{}, hide(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return daruma.Absent, Result{}, nil
	case resp.StatusCode == http.StatusAccepted:
		return daruma.Doubtful, Result{}, errors.New("status 202: it is being processed still")
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return daruma.Doubtful, Result{}, fmt.Errorf("status %d", resp.StatusCode)
	case err != nil:
		return daruma.Doubtful, Result{}, hide(err)
	}
	return daruma.Succeeded, Result{Text: string(body)}, nil
}
