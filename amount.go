package daruma

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a [time.Duration] that is written as text, such as "1m30s".
type Duration time.Duration

// String returns the duration as [time.Duration] prints it.
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the duration as text.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what [time.ParseDuration] reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return Fail("daruma.Parse", KindInvalid, "duration %q is not one; accepted: 300ms, 1.5s, 2m30s, 1h", b)
	}
	*d = Duration(v)
	return nil
}

// Money is an amount in billionths of a US dollar, so that the price of one
// token is a whole number.
type Money int64

// Dollar is one US dollar.
const Dollar Money = 1e9

// Plus returns m+n, or the largest amount there is where that would overflow:
// a spend that cannot be counted counts as too much, never as little.
func (m Money) Plus(n Money) Money {
	sum := m + n
	if n > 0 && sum < m {
		return math.MaxInt64
	}
	if n < 0 && sum > m {
		return math.MinInt64
	}
	return sum
}

// String returns the amount in dollars, such as "$0.0042".
func (m Money) String() string {
	sign := ""
	if m < 0 {
		sign = "-"
	}
	text := strconv.FormatFloat(math.Abs(float64(m))/float64(Dollar), 'f', 6, 64)
	whole, part, _ := strings.Cut(text, ".")
	part = strings.TrimRight(part, "0")
	for len(part) < 2 {
		part += "0"
	}
	return sign + "$" + whole + "." + part
}

// ParseMoney reads an amount of US dollars such as "2", "$0.05" or "12.50".
func ParseMoney(s string) (Money, error) {
	v, err := strconv.ParseFloat(strings.TrimPrefix(s, "$"), 64)
	if err != nil || math.IsNaN(v) || v < 0 || v > 9e9 {
		return 0, Fail("daruma.ParseMoney", KindInvalid, "amount %q is not one; accepted: dollars from 0 to 9000000000, such as 0.05", s)
	}
	return Money(math.Round(v * float64(Dollar))), nil
}

// Usage counts the tokens of one or many model calls. The zero Usage is none.
type Usage struct {
	Input     int64 `json:"input"`              // prompt tokens, those read from a cache included
	Output    int64 `json:"output"`             // answer tokens, reasoning included
	Cached    int64 `json:"cached,omitzero"`    // of Input
	Reasoning int64 `json:"reasoning,omitzero"` // of Output
}

// Total returns input and output tokens together.
func (u Usage) Total() int64 { return add(u.Input, u.Output) }

// Plus returns the sum of both. What would overflow is the largest count there
// is: whatever a provider reports, a limit is not slipped under.
func (u Usage) Plus(v Usage) Usage {
	return Usage{add(u.Input, v.Input), add(u.Output, v.Output), add(u.Cached, v.Cached), add(u.Reasoning, v.Reasoning)}
}

func add(a, b int64) int64 { return int64(Money(a).Plus(Money(b))) }

// Price is what a model costs, per token. The zero Price is "not known": calls
// under it are marked unpriced, never counted as free.
type Price struct {
	Input  Money `json:"input"`
	Cached Money `json:"cached,omitzero"` // zero means as Input
	Output Money `json:"output"`
	Free   bool  `json:"free,omitzero"` // really costs nothing: a local or fake model
}

// Known reports whether the price has been given.
func (p Price) Known() bool { return p.Free || p.Input != 0 || p.Output != 0 }

// Cost returns what the usage costs under this price.
func (p Price) Cost(u Usage) Money {
	cached := p.Cached
	if cached == 0 {
		cached = p.Input
	}
	return times(p.Input, u.Input-u.Cached).Plus(times(cached, u.Cached)).Plus(times(p.Output, u.Output))
}

func times(m Money, n int64) Money {
	if m <= 0 || n <= 0 {
		return 0
	}
	if int64(m) > math.MaxInt64/n {
		return math.MaxInt64
	}
	return m * Money(n)
}

// timeText is how times are shown to people.
func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// count says "1 step", "2 steps".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
