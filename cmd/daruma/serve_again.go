package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/daruma-run/daruma"
)

// comeBack is how long serve waits before it opens a journal again that has
// stopped.
const comeBack = time.Second

// again performs lives of serve until one ends for good. A life calls opened
// once it owns the journal. When the disk fails, or is full, the journal stops
// and its life with it; what runs were doing is then read anew, as after a
// crash, by the next life in the same process: nobody has to restart it.
func (p *program) again(ctx context.Context, life func(opened func()) error) error {
	owned, failing := false, ""
	for {
		err := life(func() {
			if failing != "" {
				fmt.Fprintln(p.errors, "daruma: the journal is open again; every run goes on")
			}
			owned, failing = true, ""
		})
		if ctx.Err() == nil && damage(err) {
			return hinted{err, hint(daruma.Fail("", daruma.KindCorrupt, ""))}
		}
		if ctx.Err() != nil || !passes(err, owned) {
			return err
		}
		if text := err.Error(); text != failing { // said once, not every second
			fmt.Fprintf(p.errors, "daruma: %s\nhint: nothing acknowledged is lost; the journal is opened again, every %s, until the disk writes\n", text, comeBack)
			failing = text
		}
		select {
		case <-time.After(comeBack):
		case <-ctx.Done():
			return nil
		}
	}
}

// passes reports whether a failure may pass without anybody at this process: a
// full disk always, what else is wrong with a disk once the journal was owned.
func passes(err error, owned bool) bool {
	switch daruma.KindOf(err) {
	case daruma.KindExhausted:
		return true
	case daruma.KindDown, daruma.KindUnavailable:
		return owned
	}
	return false
}

// damage reports whether a journal stopped because its file is damaged, which
// does not pass.
func damage(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		if f, ok := err.(*daruma.Failure); ok && f.Kind == daruma.KindCorrupt {
			return true
		}
	}
	return false
}
