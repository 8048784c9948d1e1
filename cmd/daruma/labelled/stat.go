package labelled

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// share returns hits of n as the value, the bounds of Wilson's interval and the
// count of a row.
func share(r Row, hits, n int) Row {
	r.Count = fmt.Sprintf("%d of %d", hits, n)
	if n == 0 {
		r.Value, r.Low, r.High = math.NaN(), 0, 1
		return r
	}
	const z = 1.959964
	p, size := float64(hits)/float64(n), float64(n)
	middle := (p + z*z/(2*size)) / (1 + z*z/size)
	half := z / (1 + z*z/size) * math.Sqrt(p*(1-p)/size+z*z/(4*size*size))
	r.Value, r.Low, r.High = p, max(0, middle-half), min(1, middle+half)
	return r
}

// auroc returns how likely a positive scores above a negative; ties count half.
func auroc(positive, negative []float64) float64 {
	type scored struct {
		score    float64
		positive bool
	}
	all := make([]scored, 0, len(positive)+len(negative))
	for _, s := range positive {
		all = append(all, scored{s, true})
	}
	for _, s := range negative {
		all = append(all, scored{s, false})
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	var ranks float64 // of the positives, from 1; equal scores share their mean
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j].score == all[i].score {
			j++
		}
		for k := i; k < j; k++ {
			if all[k].positive {
				ranks += float64(i+1+j) / 2
			}
		}
		i = j
	}
	p, n := float64(len(positive)), float64(len(negative))
	return (ranks - p*(p+1)/2) / (p * n)
}

// bootstrap returns the 95 % bounds of a figure over n items, by 1,000 samples
// with replacement.
func bootstrap(seed uint64, n int, figure func(items []int) float64) (low, high float64) {
	r := rand.New(rand.NewPCG(seed, 0xda21))
	figures := make([]float64, 1000)
	items := make([]int, n)
	for i := range figures {
		for j := range items {
			items[j] = r.IntN(n)
		}
		figures[i] = figure(items)
	}
	slices.Sort(figures)
	return figures[25], figures[974]
}
