package postgres

import "runtime"

// AwaitQueued returns once n ops wait for the writer.
func (d *DB) AwaitQueued(n int) {
	for {
		if left, _ := d.writer.queue.look(); left >= n {
			return
		}
		runtime.Gosched()
	}
}
