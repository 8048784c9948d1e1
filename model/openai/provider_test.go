package openai_test

import (
	"net/http/httptest"
	"testing"

	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/fake"
	"github.com/daruma-run/daruma/model/openai"
)

// play serves a script over HTTP and returns a client of it.
func play(t *testing.T, text string, o openai.Options) *openai.Client {
	t.Helper()
	script, err := fake.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(fake.New(script).Handler())
	t.Cleanup(s.Close)
	o.BaseURL = s.URL + "/v1"
	c, err := openai.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProvider(t *testing.T) {
	darumatest.Provider(t, func(t *testing.T, text string) model.Provider { return play(t, text, openai.Options{}) })
}
