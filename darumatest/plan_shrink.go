package darumatest

// Shrink returns a plan that breaks the same promise as this one, with as few
// lines as could be found: it takes lines out, many at once and then one by
// one, as long as something stays broken. A plan that breaks nothing comes back
// as it is.
func (p *Plan) Shrink() *Plan {
	promise := p.Play(nil).Promise
	if promise == "" {
		return p
	}
	for n := len(p.lines) / 2; n > 0; n /= 2 {
		for again := true; again; {
			again = false
			for from := 0; from < len(p.lines); {
				less := p.without(from, min(from+n, len(p.lines)))
				if less == nil || len(less.tools)+len(less.runs) == 0 || less.Play(nil).Promise != promise {
					from += n
					continue
				}
				p, again = less, n == 1
			}
		}
	}
	return p
}
