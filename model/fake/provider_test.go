package fake_test

import (
	"testing"

	"github.com/daruma-run/daruma/darumatest"
	"github.com/daruma-run/daruma/model"
	"github.com/daruma-run/daruma/model/fake"
)

func TestProvider(t *testing.T) {
	darumatest.Provider(t, func(t *testing.T, text string) model.Provider {
		script, err := fake.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return fake.New(script)
	})
}
