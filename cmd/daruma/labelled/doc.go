// Package labelled measures the detectors on recorded runs whose falls people
// have labelled, and on loops injected into good ones.
//
//	rows, err := labelled.Rows(ctx, labelled.Options{Data: "data", Seed: 1})
//	labelled.Write(os.Stdout, rows)
//
// [Rows] reads the sets from a folder: each set is a file of JSON lines packed
// by gzip. A set that is not there gives no row, and is named. Nothing is
// fitted here: constants and weights stand in the detectors, and the note of a
// row says on what they were chosen.
package labelled
