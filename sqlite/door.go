package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
)

// maxBody bounds what the socket reads of one request.
const maxBody = 64 << 20

// maxSocketPath is how long the path of a socket may be; systems differ, the
// smallest bound is 104.
const maxSocketPath = 100

// door is the socket at which the owner takes posts and new runs from other
// processes of the same user.
type door struct {
	journal  *DB
	owner    Owner
	listener net.Listener
	server   *http.Server
	served   sync.WaitGroup
}

// reply answers every request; Failures are in the order of the Txs.
type reply struct {
	Fresh    bool       `json:"fresh,omitempty"`
	Failures []*refusal `json:"failures,omitempty"`
}

// refusal is a [daruma.Failure] on the wire.
type refusal struct {
	Kind  daruma.Kind      `json:"kind"`
	Text  string           `json:"text"`
	Taken *daruma.KeyTaken `json:"taken,omitempty"`
}

func refusalOf(err error) *refusal {
	if err == nil {
		return nil
	}
	r := &refusal{Kind: daruma.KindOf(err), Text: err.Error()}
	r.Taken, _ = errors.AsType[*daruma.KeyTaken](err)
	return r
}

// socketPath is PATH.sock, or a short name where that is too long.
func socketPath(path string) (string, error) {
	if name := path + ".sock"; len(name) <= maxSocketPath {
		return name, nil
	}
	sum := daruma.DigestOf(fmt.Append(nil, os.Getuid(), " ", path)).String()
	dir := filepath.Join(os.TempDir(), "daruma-"+sum[:16])
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s is not a folder of this user alone", dir)
	}
	return filepath.Join(dir, "sock"), nil
}

// openDoor listens and writes into the lock where.
func openDoor(d *DB) (*door, error) {
	fail := func(err error) (*door, error) {
		return nil, &daruma.Failure{Op: "sqlite.Open", Kind: daruma.KindUnavailable, Err: err}
	}
	name, err := socketPath(d.path)
	if err != nil {
		return fail(err)
	}
	// Nobody else may connect at any moment: the socket gets its name only
	// once it has its mode. What a dead owner left there is replaced.
	draft := name + "-"
	_ = os.Remove(draft)
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: draft, Net: "unix"})
	if err != nil {
		return fail(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := errors.Join(os.Chmod(draft, 0o600), os.Rename(draft, name)); err != nil {
		_ = listener.Close()
		return fail(err)
	}
	host, _ := os.Hostname() // a nameless host is fine
	o := &door{journal: d, listener: listener, owner: Owner{PID: os.Getpid(), Host: host, Since: time.Now().UTC(), Socket: name}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/owner", o.who)
	mux.HandleFunc("POST /v1/post", o.post)
	mux.HandleFunc("POST /v1/commit", o.commit)
	o.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	if err := d.lock.sign(o.owner); err != nil {
		_ = listener.Close()
		return fail(err)
	}
	return o, nil
}

func (o *door) serve() {
	o.served.Go(func() { _ = o.server.Serve(o.listener) }) // it ends by close alone
}

// close answers requests under way, for at most a second, and removes the
// socket, and its folder where that is one of its own. The lock is still held.
func (o *door) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if o.server.Shutdown(ctx) != nil {
		_ = o.server.Close()
	}
	o.served.Wait()
	if err := os.Remove(o.owner.Socket); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if o.owner.Socket != o.journal.path+".sock" {
		_ = os.Remove(filepath.Dir(o.owner.Socket)) // empty, or it stays
	}
	return nil
}

func (o *door) who(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, o.owner) }

func (o *door) post(w http.ResponseWriter, r *http.Request) {
	var p daruma.Post
	if !read(w, r, &p) {
		return
	}
	fresh, err := o.journal.Post(r.Context(), p)
	out := reply{Fresh: fresh}
	if err != nil {
		out.Failures = []*refusal{refusalOf(err)}
	}
	answer(w, http.StatusOK, out)
}

func (o *door) commit(w http.ResponseWriter, r *http.Request) {
	var txs []daruma.Tx
	if !read(w, r, &txs) {
		return
	}
	for _, tx := range txs {
		if err := checkRemote(&tx); err != nil {
			answer(w, http.StatusBadRequest, reply{Failures: []*refusal{refusalOf(err)}})
			return
		}
	}
	out := reply{Failures: make([]*refusal, len(txs))}
	for i, err := range o.journal.Commit(r.Context(), txs) {
		out.Failures[i] = refusalOf(err)
	}
	answer(w, http.StatusOK, out)
}

// checkRemote refuses what only the owner of the file may commit.
func checkRemote(tx *daruma.Tx) error {
	const op = "sqlite.Remote.Commit"
	if tx.Raises() {
		return nil
	}
	if tx.Run == "" || tx.Head != 0 {
		return daruma.Fail(op, daruma.KindDenied, "only the owner of the file goes on with runs; others start them (a run, head 0) or post to them")
	}
	if tx.Node != "" {
		return daruma.Fail(op, daruma.KindDenied, "run %s: node %q is no node of the owner; leave it empty, so that the owner claims the run", tx.Run, tx.Node)
	}
	return nil
}

func read(w http.ResponseWriter, r *http.Request, v any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(v)
	if err != nil {
		answer(w, http.StatusBadRequest, reply{Failures: []*refusal{{Kind: daruma.KindInvalid, Text: "the request is not the JSON expected: " + err.Error()}}})
	}
	return err == nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the client is gone
}
