package guard

import (
	"testing"
	"time"
)

// TestHealth plays calls at seconds and says where work begins after each.
func TestHealth(t *testing.T) {
	h := NewHealth(HealthOptions{})
	at := func(s int) time.Time { return time.Unix(int64(1_000_000+s), 0) }
	for i, c := range []struct {
		at     int
		call   string // good, bad or none
		admits bool
		ill    bool
	}{
		{0, "bad", true, false},
		{1, "bad", true, false},
		{2, "good", true, false}, // not in a row
		{3, "bad", true, false},
		{4, "bad", true, false},
		{5, "bad", false, true},
		{14, "none", false, true},
		{15, "none", true, true},  // a trial
		{15, "none", false, true}, // one
		{16, "good", false, true},
		{17, "good", false, true},
		{18, "good", false, true}, // three, but not over 30 s
		{25, "bad", true, true},   // all of it anew, after the trial that is due
		{35, "good", true, true},
		{45, "good", true, true},
		{64, "good", true, true},
		{65, "good", true, false}, // 30 s after the first
		{66, "bad", true, false},
	} {
		if c.call != "none" {
			h.Record(at(c.at), c.call == "bad")
		}
		if ill := h.Ill(); ill != c.ill {
			t.Errorf("line %d: ill is %v", i, ill)
		}
		if admits := h.Admit(at(c.at)); admits != c.admits {
			t.Errorf("line %d: admits %v", i, admits)
		}
	}
}
