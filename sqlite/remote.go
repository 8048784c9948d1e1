package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/daruma-run/daruma"
)

// Remote is a journal file that another process owns: it reads the file and
// hands posts and new runs to the owner through its socket.
type Remote struct {
	*Reader

	owner  Owner
	client *http.Client
}

// Access is what a process needs that does not perform runs itself: reading,
// posting, and starting runs. [*DB] and [*Remote] have it.
type Access interface {
	daruma.Reader
	daruma.Ledger

	// Posts returns the posts for a run that its owner has not folded in yet,
	// oldest first; the empty id asks for those of every run.
	Posts(ctx context.Context, run daruma.RunID) ([]daruma.Post, error)

	// Post is that of [daruma.Journal].
	Post(ctx context.Context, p daruma.Post) (fresh bool, err error)

	// Commit is that of [daruma.Journal]; through a [*Remote] only Txs that
	// start a run held by nobody or raise budgets pass, any other is KindDenied.
	Commit(ctx context.Context, txs []daruma.Tx) []error

	// Close gives up what was opened: the file where this process owns it,
	// the connection to the owner where another one does.
	Close() error
}

var (
	_ Access = (*DB)(nil)
	_ Access = (*Remote)(nil)
)

// Dial reaches the living owner of the file at path. Errors are those of
// [OpenReader], and KindUnavailable where no owner answers.
func Dial(ctx context.Context, path string) (*Remote, error) {
	const name = "sqlite.Dial"
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	owner, err := readOwner(path)
	if err != nil || owner.Socket == "" {
		return nil, daruma.Fail(name, daruma.KindUnavailable, "no process owns %s", path)
	}
	r := &Remote{client: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", owner.Socket)
		},
		MaxIdleConns: 1,
	}}}
	if err := r.call(ctx, http.MethodGet, "/v1/owner", nil, &r.owner); err != nil {
		return nil, daruma.Fail(name, daruma.KindUnavailable, "%s does not answer: %w", owner, err)
	}
	if r.Reader, err = OpenReader(ctx, path); err != nil {
		r.client.CloseIdleConnections()
		return nil, err
	}
	return r, nil
}

// Connect opens the file where no owner lives, and dials the owner where one
// does.
func Connect(ctx context.Context, path string, opts *Options) (Access, error) {
	// An owner may come or go between the two looks.
	for tries := 0; ; tries++ {
		d, err := Open(ctx, path, opts)
		if err == nil {
			return d, nil
		}
		if daruma.KindOf(err) != daruma.KindExists {
			return nil, err
		}
		r, derr := Dial(ctx, path)
		if derr == nil {
			return r, nil
		}
		if daruma.KindOf(derr) != daruma.KindUnavailable || tries == 20 {
			return nil, &daruma.Failure{Op: "sqlite.Connect", Kind: daruma.KindOf(derr), Err: errors.Join(err, derr)}
		}
		select {
		case <-ctx.Done():
			return nil, ended(ctx, "sqlite.Connect")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Owner returns who owns the file.
func (r *Remote) Owner() Owner { return r.owner }

// Post implements [Access]. KindDoubt means that the owner went away before
// it answered: posting the same again is safe.
func (r *Remote) Post(ctx context.Context, p daruma.Post) (fresh bool, err error) {
	if err := p.Check(); err != nil {
		return false, err
	}
	var out reply
	if err := r.call(ctx, http.MethodPost, "/v1/post", p, &out); err != nil {
		return false, remoteFailure(ctx, "sqlite.Remote.Post", err)
	}
	if len(out.Failures) > 0 {
		return false, out.Failures[0].failure()
	}
	return out.Fresh, nil
}

// Commit implements [Access]. KindDoubt means that the owner went away before
// it answered: the run is there or not.
func (r *Remote) Commit(ctx context.Context, txs []daruma.Tx) []error {
	verdicts := make([]error, len(txs))
	var send []daruma.Tx
	var at []int
	for i := range txs {
		if verdicts[i] = checkRemote(&txs[i]); verdicts[i] == nil {
			verdicts[i] = txs[i].Check()
		}
		if verdicts[i] == nil {
			send, at = append(send, txs[i]), append(at, i)
		}
	}
	if len(send) == 0 {
		return verdicts
	}
	var out reply
	err := r.call(ctx, http.MethodPost, "/v1/commit", send, &out)
	if err == nil && len(out.Failures) != len(send) {
		err = errors.New("the owner did not answer every Tx")
	}
	for j, i := range at {
		if err != nil {
			verdicts[i] = remoteFailure(ctx, "sqlite.Remote.Commit", err)
		} else {
			verdicts[i] = out.Failures[j].failure()
		}
	}
	return verdicts
}

// Close gives the connections back; the owner lives on.
func (r *Remote) Close() error {
	r.client.CloseIdleConnections()
	return r.Reader.Close()
}

// failure turns a refusal back into the error it was.
func (r *refusal) failure() error {
	if r == nil {
		return nil
	}
	if r.Taken != nil {
		return &daruma.Failure{Op: "sqlite.Remote", Kind: r.Kind, Err: r.Taken}
	}
	return daruma.Fail("", r.Kind, "%s", r.Text)
}

// remoteFailure is an error of the wire, after which nobody knows whether the
// owner did it.
func remoteFailure(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ended(ctx, name)
	}
	kind := daruma.KindOf(err)
	if kind == daruma.KindUnknown {
		kind = daruma.KindDoubt
	}
	return &daruma.Failure{Op: name, Kind: kind, Err: err}
}

// call performs one request to the owner.
func (r *Remote) call(ctx context.Context, method, path string, in, out any) error {
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			return &daruma.Failure{Kind: daruma.KindInvalid, Err: err}
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://owner"+path, &body)
	if err != nil {
		return err
	}
	res, err := r.client.Do(req)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
			return &daruma.Failure{Kind: daruma.KindUnavailable, Err: err}
		}
		return err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusOK {
		return json.NewDecoder(res.Body).Decode(out)
	}
	var refused reply
	if json.NewDecoder(res.Body).Decode(&refused) == nil && len(refused.Failures) > 0 && refused.Failures[0] != nil {
		return refused.Failures[0].failure()
	}
	return daruma.Fail("", daruma.KindUnavailable, "the owner answered %s", res.Status)
}
