package falls

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/daruma-run/daruma"
)

//go:embed peers.json
var recorded string

// Peer is the recorded run of another framework, judged by the oracle.
type Peer struct {
	Name     string
	Recorded string            // the date and the versions
	Results  map[string]Result // by scenario; only of scenarios that have not changed since
}

// Recorded returns the peers recorded in this repository: bench/peers has the
// script that made them, and says how to repeat it.
func Recorded() ([]Peer, error) {
	if strings.TrimSpace(recorded) == "" {
		return nil, nil
	}
	p, err := JudgePeer(strings.NewReader(recorded))
	if err != nil {
		return nil, err
	}
	return []Peer{p}, nil
}

// JudgePeer reads the recording of a peer, a JSON object
//
//	{"name": "langchain", "date": "2026-11-24", "versions": {"langchain": "1.4.7"},
//	 "runs": [{"scenario": "429", "digest": "…", "acts": [{"state": "answered", "said": "…", "ledger": []}]}]}
//
// and judges it. State is answered, parked, failed or hang. Runs of scenarios
// that do not exist any more, or have changed, are left out. Errors are of
// KindInvalid.
func JudgePeer(r io.Reader) (Peer, error) {
	var file struct {
		Name     string            `json:"name"`
		Date     string            `json:"date"`
		Versions map[string]string `json:"versions"`
		Runs     []struct {
			Scenario string   `json:"scenario"`
			Digest   string   `json:"digest"`
			Acts     []Ending `json:"acts"`
			Took     float64  `json:"took"`
		} `json:"runs"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return Peer{}, daruma.Fail("falls.JudgePeer", daruma.KindInvalid, "the recording: %w", err)
	}
	p := Peer{Name: file.Name, Recorded: file.Date, Results: map[string]Result{}}
	for _, name := range slices.Sorted(maps.Keys(file.Versions)) {
		p.Recorded += fmt.Sprintf(", %s %s", name, file.Versions[name])
	}
	for _, run := range file.Runs {
		s, err := load(run.Scenario)
		if err != nil || s.Digest != run.Digest {
			continue
		}
		result := Result{Runner: p.Name, Took: run.Took}
		result.judge(s, run.Acts)
		p.Results[run.Scenario] = result
	}
	return p, nil
}
