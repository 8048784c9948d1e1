package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/daruma-run/daruma"
)

// parentOf returns whose sub-run a run is, "" for none.
func parentOf(ctx context.Context, j daruma.Reader, id daruma.RunID) (daruma.RunID, error) {
	for e, err := range j.Events(ctx, id, 0) {
		if err != nil {
			return "", err
		}
		if p := read[daruma.Started](e).Parent; p != nil {
			return p.Run, nil
		}
		break
	}
	return "", nil
}

// child is a sub-run in the tree below a run.
type child struct {
	daruma.RunInfo
	Children []child `json:"children,omitempty"`
}

// tree returns the sub-runs that the events of a run tell of, with theirs.
func tree(ctx context.Context, j daruma.Reader, events []daruma.Event) ([]child, error) {
	var all []child
	for _, e := range events {
		if e.Kind != daruma.KindChild {
			continue
		}
		info, err := j.Run(ctx, read[daruma.ChildStarted](e).Run)
		if daruma.KindOf(err) == daruma.KindNotFound { // of the origin of a fork, in another journal
			continue
		}
		if err != nil {
			return nil, err
		}
		c := child{RunInfo: info}
		if info.State != daruma.Quarantined {
			var below []daruma.Event
			for e, err := range j.Events(ctx, info.ID, 0) {
				if daruma.KindOf(err) == daruma.KindCorrupt {
					break // it is told where it is shown itself
				}
				if err != nil {
					return nil, err
				}
				below = append(below, e)
			}
			if c.Children, err = tree(ctx, j, below); err != nil {
				return nil, err
			}
		}
		all = append(all, c)
	}
	return all, nil
}

// treeLines draws sub-runs, indented by their depth.
func treeLines(children []child, depth int) []string {
	var lines []string
	for _, c := range children {
		lines = append(lines, fmt.Sprintf("%s└ %s  %s  %s  %s", strings.Repeat("  ", depth), c.ID, c.Name, c.State, short(c.Note)))
		lines = append(lines, treeLines(c.Children, depth+1)...)
	}
	return lines
}
