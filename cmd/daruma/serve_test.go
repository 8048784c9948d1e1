package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/daruma-run/daruma"
)

func TestServeAgain(t *testing.T) {
	fail := func(k daruma.Kind) error { return daruma.Fail("sqlite", k, "no luck: %s", k) }
	for name, test := range map[string]struct {
		lives []error // of each life; owned where it ends with Down or nil
		want  daruma.Kind
		took  time.Duration
	}{
		"full at the start":       {[]error{fail(daruma.KindExhausted), fail(daruma.KindExhausted), nil}, 0, 2 * comeBack},
		"down, then not to open":  {[]error{fail(daruma.KindDown), fail(daruma.KindUnavailable), fail(daruma.KindUnavailable), nil}, 0, 3 * comeBack},
		"not to open at start":    {[]error{fail(daruma.KindUnavailable)}, daruma.KindUnavailable, 0},
		"damaged":                 {[]error{fail(daruma.KindDown), fail(daruma.KindCorrupt)}, daruma.KindCorrupt, comeBack},
		"stopped by damage":       {[]error{daruma.Fail("sqlite", daruma.KindDown, "stopped: %w", fail(daruma.KindCorrupt))}, daruma.KindDown, 0},
		"owned by another":        {[]error{fail(daruma.KindExists)}, daruma.KindExists, 0},
		"taken over by another":   {[]error{fail(daruma.KindDown), fail(daruma.KindExists)}, daruma.KindExists, comeBack},
		"stopped by an interrupt": {[]error{nil}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				p := &program{errors: &said}
				n, began := 0, time.Now()
				err := p.again(t.Context(), func(opened func()) error {
					err := test.lives[n]
					n++
					if err == nil || daruma.KindOf(err) == daruma.KindDown {
						opened()
					}
					return err
				})
				if test.want == 0 && err != nil || test.want != 0 && daruma.KindOf(err) != test.want {
					t.Errorf("got %v, want %v", err, test.want)
				}
				if took := time.Since(began); took != test.took || n != len(test.lives) {
					t.Errorf("%d lives in %s, want %d in %s", n, took, len(test.lives), test.took)
				}
				if text := said.String(); test.took > comeBack && strings.Count(text, "unavailable") > 1 {
					t.Errorf("said again and again: %s", text)
				}
			})
		})
	}
}

func TestServeInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), comeBack/2)
		defer cancel()
		p := &program{errors: new(bytes.Buffer)}
		err := p.again(ctx, func(opened func()) error {
			return daruma.Fail("sqlite", daruma.KindExhausted, "%w", errors.New("full"))
		})
		if err != nil {
			t.Error(err)
		}
	})
}
