package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/model/fake"
)

// demoWorld is the provider and the payment service, on loopback.
type demoWorld struct {
	url    string
	fake   *fake.Fake
	server *http.Server
	served sync.WaitGroup
}

// newDemoWorld serves the script. afterRefund is called when a refund has been
// paid and before its answer goes out; where it reports true, no answer goes.
func newDemoWorld(ctx context.Context, afterRefund func() bool) (*demoWorld, error) {
	script, err := fake.Parse(demoScript)
	if err != nil {
		return nil, daruma.Fail("demo", daruma.KindInternal, "demo.txt: %w", err)
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, daruma.Fail("demo", daruma.KindUnavailable, "loopback: %w", err)
	}
	w := &demoWorld{url: "http://" + l.Addr().String(), fake: fake.New(script)}
	handler := w.fake.Handler()
	w.server = &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		before := w.refunds()
		if r.URL.Path != "/tools/refund" {
			handler.ServeHTTP(rw, r)
			return
		}
		held := &heldAnswer{ResponseWriter: rw}
		handler.ServeHTTP(held, r)
		if w.refunds() > before && afterRefund() {
			panic(http.ErrAbortHandler) // the money has moved; the answer never arrives
		}
		held.release()
	})}
	w.served.Go(func() { w.server.Serve(l) }) // ends with close
	return w, nil
}

func (w *demoWorld) refunds() int {
	n := 0
	for _, e := range w.fake.Ledger() {
		if e.Tool == "refund" {
			n++
		}
	}
	return n
}

func (w *demoWorld) close() {
	w.server.Close()
	w.served.Wait()
	w.fake.Close()
}

// heldAnswer keeps an answer back until it is released.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   []byte
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(b []byte) (int, error) {
	h.body = append(h.body, b...)
	return len(b), nil
}

func (h *heldAnswer) release() {
	if h.status != 0 {
		h.ResponseWriter.WriteHeader(h.status)
	}
	h.ResponseWriter.Write(h.body)
}

// keepWorld has the script and the ledger of the world outlive it.
func (d *demo) keepWorld(world *demoWorld) error {
	d.addr = strings.TrimPrefix(world.url, "http://")
	if err := os.WriteFile(filepath.Join(d.dir, "demo.txt"), demoScript, 0o600); err != nil {
		return daruma.Fail("demo", daruma.KindExhausted, "%w", err)
	}
	return world.fake.KeepLedger(filepath.Join(d.dir, "ledger.jsonl"))
}

// invite says what can be done with what was kept.
func (d *demo) invite() {
	file := func(name string) string { return filepath.Join(d.dir, name) }
	fmt.Fprintf(d.p.out, `
look closer:    daruma show %[1]s -c %[2]s
fork it:        daruma fake %[3]s --addr %[4]s --ledger %[5]s &
                daruma fork %[1]s --at 4/8 -c %[2]s
one refund:     grep -c refund %[5]s
`, demoRun, file(configFile), file("demo.txt"), d.addr, file("ledger.jsonl"))
}
