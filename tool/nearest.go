package tool

import "strings"

// Nearest returns the name of the tool that was probably meant by name: one
// that differs in case and separators only, or by few letters. It is empty
// where none is near, or two are equally near.
func (s *Set) Nearest(name string) string {
	if len(name) > 128 {
		return ""
	}
	best, distance, tie := "", 1+len(name)/4, false
	for _, m := range s.order {
		switch d := edits(fold(name), fold(m.Spec.Name)); {
		case d < distance, d == distance && best == "":
			best, distance, tie = m.Spec.Name, d, false
		case d == distance:
			tie = true
		}
	}
	if tie {
		return ""
	}
	return best
}

// fold drops what models get wrong most: case, separators, and a name space.
func fold(name string) string {
	if i := strings.LastIndexAny(name, ".:/"); i >= 0 {
		name = name[i+1:]
	}
	name = strings.ToLower(name)
	if strings.ContainsAny(name, "_- ") {
		name = strings.NewReplacer("_", "", "-", "", " ", "").Replace(name)
	}
	return name
}

// edits counts the letters to insert, delete, change or swap with their
// neighbour to make b of a.
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
