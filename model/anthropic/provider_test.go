package anthropic_test

import (
	"net/http/httptest"
	"testing"

	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/anthropic"
	"github.com/daruma-run/daruma/model/fake"
)

// play serves a script over HTTP and returns a client of it.
func play(t *testing.T, text string, o anthropic.Options) *anthropic.Client {
	t.Helper()
	script, err := fake.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(fake.New(script).Handler())
	t.Cleanup(s.Close)
	o.BaseURL = s.URL + "/v1"
	c, err := anthropic.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProvider(t *testing.T) {
	darumatest.Provider(t, func(t *testing.T, text string) model.Provider { return play(t, text, anthropic.Options{}) })
}

// TestProviderWhole is the same for answers in one piece.
func TestProviderWhole(t *testing.T) {
	darumatest.Provider(t, func(t *testing.T, text string) model.Provider {
		return play(t, text, anthropic.Options{Whole: true})
	})
}
