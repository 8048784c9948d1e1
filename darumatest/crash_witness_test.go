package darumatest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/daruma-run/daruma"
)

// The witness is the world outside: a process of its own, which nobody kills,
// with a ledger of its own. Like a real payment service it does what it is
// asked once per key where it promises to, and every time where it does not.

// entry is a request to the witness, its answer, and a line of its ledger.
type entry struct {
	N        int              `json:"n"`              // of the request, on its connection
	Op       string           `json:"op"`             // "do", "truth"
	What     string           `json:"what,omitempty"` // in the ledger: "effect", "replay", "refused"
	Gen      int              `json:"gen"`            // which worker process asks
	Run      daruma.RunID     `json:"run"`
	Call     string           `json:"call"` // the id of the order
	Tool     string           `json:"tool"`
	Class    string           `json:"class,omitempty"`
	Key      string           `json:"key,omitempty"`
	Command  daruma.CommandID `json:"command,omitempty"`
	Approved bool             `json:"approved,omitempty"`
	Wait     int              `json:"wait,omitempty"`
	Count    int              `json:"count,omitempty"` // answer: how often the call has happened
}

func (e entry) order() string { return string(e.Run) + "/" + e.Call }

// witness is the process. Its address goes to its output, its ledger is a file.
type witness struct {
	file *os.File

	mu      sync.Mutex
	gone    *sync.Cond  // a connection has come to its end
	open    map[int]int // connections by generation
	keys    map[string]bool
	counts  map[string]int
	refused map[string]bool
	pending []promise
	wake    chan struct{}
}

// promise is an answer that waits for the sync of the ledger.
type promise struct {
	to   *line
	with entry
	log  bool
}

// line writes JSON lines, one at a time.
type line struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *line) put(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.w.Write(append(b, '\n'))
	return err
}

func witnessMain(j job) error {
	file, err := os.OpenFile(filepath.Join(j.Dir, "ledger"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := &witness{file: file, open: map[int]int{}, keys: map[string]bool{}, counts: map[string]int{}, refused: map[string]bool{}, wake: make(chan struct{}, 1)}
	w.gone = sync.NewCond(&w.mu)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go w.sync()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	fmt.Println(listener.Addr())
	_, err = io.Copy(io.Discard, os.Stdin) // until the test is gone
	return err
}

// serve answers one connection. Its requests take effect in their order, and
// all that arrived before the end of the connection do.
func (w *witness) serve(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewScanner(c), &line{w: c}
	gen := -1
	for in.Scan() {
		var q entry
		if json.Unmarshal(in.Bytes(), &q) != nil {
			break // cut by a kill
		}
		w.mu.Lock()
		if gen < 0 {
			gen = q.Gen
			w.open[gen]++
		}
		switch q.Op {
		case "truth":
			w.mu.Unlock()
			go w.truth(out, q)
			continue
		case "do":
			w.do(out, q)
		}
		w.mu.Unlock()
	}
	w.mu.Lock()
	w.open[gen]--
	w.gone.Broadcast()
	w.mu.Unlock()
}

// do performs one request. The mutex is held.
func (w *witness) do(out *line, q entry) {
	q.What = "effect"
	byKey := q.Class == "keyed" || q.Class == "payment" || q.Class == "transactional"
	switch {
	case q.Wait > 0 && !w.refused[q.order()]:
		w.refused[q.order()] = true
		q.What = "refused"
	case byKey && w.keys[q.Key]:
		q.What = "replay"
	default:
		w.keys[q.Key] = true
		w.counts[q.order()]++
	}
	a := q
	if q.What != "refused" {
		a.Wait = 0
	}
	a.Count = w.counts[q.order()]
	w.pending = append(w.pending, promise{out, a, true})
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// truth says how often a call has happened, once nothing that dead workers
// have sent can arrive any more.
func (w *witness) truth(out *line, q entry) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		older := 0
		for gen, n := range w.open {
			if gen < q.Gen {
				older += n
			}
		}
		if older == 0 {
			break
		}
		w.gone.Wait()
	}
	q.Count = w.counts[q.order()]
	_ = out.put(q) // the one who asked may be dead
}

// sync writes what has happened into the ledger and answers after the sync.
func (w *witness) sync() {
	for range w.wake {
		w.mu.Lock()
		batch := w.pending
		w.pending = nil
		w.mu.Unlock()
		var b bytes.Buffer
		for _, p := range batch {
			_ = (&line{w: &b}).put(p.with)
		}
		if _, err := w.file.Write(b.Bytes()); err != nil {
			panic(err)
		}
		if err := w.file.Sync(); err != nil {
			panic(err)
		}
		for _, p := range batch {
			_ = p.to.put(p.with) // the one who asked may be dead
		}
	}
}

// caller is a connection to the witness.
type caller struct {
	gen int
	c   net.Conn
	out *line

	mu    sync.Mutex
	n     int
	waits map[int]chan entry
	err   error
}

func call(address string, gen int) (*caller, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	k := &caller{gen: gen, c: c, out: &line{w: c}, waits: map[int]chan entry{}}
	go k.read()
	k.send(entry{Op: "hello"})
	return k, nil
}

func (k *caller) read() {
	in := bufio.NewScanner(k.c)
	for in.Scan() {
		var a entry
		if json.Unmarshal(in.Bytes(), &a) != nil {
			break
		}
		k.mu.Lock()
		if ch := k.waits[a.N]; ch != nil {
			ch <- a
		}
		delete(k.waits, a.N)
		k.mu.Unlock()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.err = errors.New("the witness is gone")
	for _, ch := range k.waits {
		close(ch)
	}
}

// send asks without waiting for the answer.
func (k *caller) send(q entry) <-chan entry {
	ch := make(chan entry, 1)
	k.mu.Lock()
	k.n++
	q.N, q.Gen = k.n, k.gen
	if k.err != nil {
		close(ch)
	} else {
		k.waits[q.N] = ch
	}
	k.mu.Unlock()
	_ = k.out.put(q) // read notices
	return ch
}

func (k *caller) ask(ctx context.Context, q entry) (entry, error) {
	select {
	case a, ok := <-k.send(q):
		if !ok {
			return a, errors.New("the witness is gone")
		}
		return a, nil
	case <-ctx.Done():
		return entry{}, ctx.Err()
	}
}

// readLedger returns every line of the ledger.
func readLedger(dir string) ([]entry, error) {
	b, err := os.ReadFile(filepath.Join(dir, "ledger"))
	if err != nil {
		return nil, err
	}
	var all []entry
	d := json.NewDecoder(bytes.NewReader(b))
	for {
		var e entry
		if err := d.Decode(&e); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
}
