package labelled

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
)

// lines yields the JSON lines of a packed set, such as "traces/sola.jsonl.gz",
// below the folder of the sets. An error is yielded last.
func (o Options) lines(name string) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		file, err := os.Open(filepath.Join(o.Data, filepath.FromSlash(name)))
		if err != nil {
			yield(nil, err)
			return
		}
		defer file.Close()
		unpacked, err := gzip.NewReader(bufio.NewReader(file))
		if err != nil {
			yield(nil, fmt.Errorf("%s: %w", name, err))
			return
		}
		d := json.NewDecoder(unpacked)
		for {
			var line json.RawMessage
			err := d.Decode(&line)
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(nil, fmt.Errorf("%s: %w", name, err))
				return
			}
			if !yield(line, nil) {
				return
			}
		}
	}
}

// read decodes every line of a set.
func read[T any](o Options, name string) ([]T, error) {
	var all []T
	for line, err := range o.lines(name) {
		if err != nil {
			return nil, err
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", name, len(all)+1, err)
		}
		all = append(all, v)
	}
	return all, nil
}
