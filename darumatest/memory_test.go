package darumatest_test

import (
	"testing"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/darumatest"
)

func TestMemory(t *testing.T) {
	darumatest.JournalWith(t, darumatest.JournalOptions{
		Open: func(*testing.T) daruma.Journal { return darumatest.NewMemory() },
		Reopen: func(_ *testing.T, j daruma.Journal) daruma.Journal {
			return j.(*darumatest.Memory).Crash()
		},
	})
}
