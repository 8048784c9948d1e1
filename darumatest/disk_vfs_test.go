//go:build linux

package darumatest_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// disk stands between SQLite and the file system: it is SQLite's default for
// the length of a test, and passes everything on to the one beneath. In the
// folders of its volumes it counts, fails on purpose, and tells what happened.
type disk struct {
	keep    []any // functions that SQLite points to
	tls     *libc.TLS
	vfs     uintptr
	beneath uintptr // the file system it stands on
	methods uintptr

	mu      sync.Mutex
	volumes map[string]*volume // by folder
	files   map[uintptr]onDisk // open files of volumes, by SQLite's handle
}

// onDisk is an open file.
type onDisk struct {
	v    *volume
	name string // without its folder
}

// volume is a folder whose files can fail. Its fields belong to the disk's
// lock, its functions are called under it.
type volume struct {
	disk    *disk
	ops     int
	failed  map[string]int // by op
	syncs   int            // of the log, that succeeded
	fault   func(op, file string, n int) int32
	observe func(change)
}

// change is something that happened to a file, in order.
type change struct {
	op   string // write, truncate, sync, delete
	file string
	at   int64
	data []byte
}

// realAt is where the file of the file system beneath begins in ours.
const realAt = 16

// pointer makes a pointer of an address that SQLite gave; its memory is not
// Go's.
func pointer(p uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&p)) }

// address is how SQLite calls a function; the disk keeps it alive.
func address[F any](d *disk, f F) uintptr {
	d.keep = append(d.keep, f)
	return *(*uintptr)(unsafe.Pointer(&f))
}

// function is the reverse, for functions of the file system beneath.
func function[F any](p uintptr) F {
	at := struct{ p uintptr }{p}
	return *(*F)(unsafe.Pointer(&at))
}

type (
	onFile  = func(*libc.TLS, uintptr) int32
	onInt   = func(*libc.TLS, uintptr, int32) int32
	onWord  = func(*libc.TLS, uintptr, uintptr) int32
	onBytes = func(*libc.TLS, uintptr, uintptr, int32, int64) int32
)

// mount puts a disk under SQLite until the test ends. Journals that are opened
// meanwhile must be closed before. Only one test at a time may have one.
func mount(t testing.TB) *disk {
	t.Helper()
	d := &disk{tls: libc.NewTLS(), volumes: map[string]*volume{}, files: map[uintptr]onDisk{}}
	d.beneath = sqlite3.Xsqlite3_vfs_find(d.tls, 0)
	if d.beneath == 0 {
		t.Fatal("SQLite has no file system")
	}
	name, err := libc.CString(fmt.Sprintf("disk%p", d))
	if err != nil {
		t.Fatal(err)
	}
	real := (*sqlite3.Tsqlite3_vfs)(pointer(d.beneath))
	d.vfs = libc.Xcalloc(d.tls, 1, libc.Tsize_t(unsafe.Sizeof(*real)))
	d.methods = libc.Xcalloc(d.tls, 1, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_io_methods{})))
	v := (*sqlite3.Tsqlite3_vfs)(pointer(d.vfs))
	*v = *real
	v.FiVersion, v.FpNext, v.FzName, v.FszOsFile = 2, 0, name, real.FszOsFile+realAt
	v.FxOpen, v.FxDelete = address(d, d.open), address(d, d.delete)
	d.fill((*sqlite3.Tsqlite3_io_methods)(pointer(d.methods)))
	if rc := sqlite3.Xsqlite3_vfs_register(d.tls, d.vfs, 1); rc != 0 {
		t.Fatalf("SQLite does not take the disk: %d", rc)
	}
	t.Cleanup(func() {
		sqlite3.Xsqlite3_vfs_unregister(d.tls, d.vfs)
		sqlite3.Xsqlite3_vfs_register(d.tls, d.beneath, 1)
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.files) > 0 {
			t.Errorf("left open: %v", d.files)
			return // its memory is still used
		}
		for _, p := range []uintptr{d.vfs, d.methods, name} {
			libc.Xfree(d.tls, p)
		}
		d.tls.Close()
	})
	return d
}

func (d *disk) file(f uintptr) *sqlite3.Tsqlite3_io_methods {
	real := (*sqlite3.Tsqlite3_file)(pointer(f + realAt))
	return (*sqlite3.Tsqlite3_io_methods)(pointer(real.FpMethods))
}

func (d *disk) fill(m *sqlite3.Tsqlite3_io_methods) {
	m.FiVersion = 2
	m.FxClose = address(d, func(tls *libc.TLS, f uintptr) int32 {
		rc := function[onFile](d.file(f).FxClose)(tls, f+realAt)
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.files, f)
		return rc
	})
	m.FxRead = address(d, func(tls *libc.TLS, f, buf uintptr, n int32, at int64) int32 {
		if rc := d.ask("read", f); rc != 0 {
			return rc
		}
		return function[onBytes](d.file(f).FxRead)(tls, f+realAt, buf, n, at)
	})
	m.FxWrite = address(d, d.write)
	m.FxTruncate = address(d, func(tls *libc.TLS, f uintptr, size int64) int32 {
		if rc := d.ask("truncate", f); rc != 0 {
			return rc
		}
		rc := function[func(*libc.TLS, uintptr, int64) int32](d.file(f).FxTruncate)(tls, f+realAt, size)
		if rc == 0 {
			d.changed(f, change{op: "truncate", at: size})
		}
		return rc
	})
	m.FxSync = address(d, func(tls *libc.TLS, f uintptr, flags int32) int32 {
		if rc := d.ask("sync", f); rc != 0 {
			return rc
		}
		// Not passed on: what would survive a power cut is what observe keeps.
		d.changed(f, change{op: "sync"})
		return 0
	})
	m.FxFileSize = address(d, func(tls *libc.TLS, f, size uintptr) int32 {
		return function[onWord](d.file(f).FxFileSize)(tls, f+realAt, size)
	})
	m.FxLock = address(d, func(tls *libc.TLS, f uintptr, level int32) int32 {
		return function[onInt](d.file(f).FxLock)(tls, f+realAt, level)
	})
	m.FxUnlock = address(d, func(tls *libc.TLS, f uintptr, level int32) int32 {
		return function[onInt](d.file(f).FxUnlock)(tls, f+realAt, level)
	})
	m.FxCheckReservedLock = address(d, func(tls *libc.TLS, f, out uintptr) int32 {
		return function[onWord](d.file(f).FxCheckReservedLock)(tls, f+realAt, out)
	})
	m.FxFileControl = address(d, func(tls *libc.TLS, f uintptr, op int32, arg uintptr) int32 {
		return function[func(*libc.TLS, uintptr, int32, uintptr) int32](d.file(f).FxFileControl)(tls, f+realAt, op, arg)
	})
	m.FxSectorSize = address(d, func(tls *libc.TLS, f uintptr) int32 {
		return function[onFile](d.file(f).FxSectorSize)(tls, f+realAt)
	})
	m.FxDeviceCharacteristics = address(d, func(tls *libc.TLS, f uintptr) int32 {
		return function[onFile](d.file(f).FxDeviceCharacteristics)(tls, f+realAt)
	})
	m.FxShmMap = address(d, func(tls *libc.TLS, f uintptr, page, size, extend int32, out uintptr) int32 {
		return function[func(*libc.TLS, uintptr, int32, int32, int32, uintptr) int32](d.file(f).FxShmMap)(tls, f+realAt, page, size, extend, out)
	})
	m.FxShmLock = address(d, func(tls *libc.TLS, f uintptr, offset, n, flags int32) int32 {
		return function[func(*libc.TLS, uintptr, int32, int32, int32) int32](d.file(f).FxShmLock)(tls, f+realAt, offset, n, flags)
	})
	m.FxShmBarrier = address(d, func(tls *libc.TLS, f uintptr) {
		function[func(*libc.TLS, uintptr)](d.file(f).FxShmBarrier)(tls, f+realAt)
	})
	m.FxShmUnmap = address(d, func(tls *libc.TLS, f uintptr, remove int32) int32 {
		return function[onInt](d.file(f).FxShmUnmap)(tls, f+realAt, remove)
	})
}

// volume makes a folder one that can fail.
func (d *disk) volume(dir string) *volume {
	v := &volume{disk: d, failed: map[string]int{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.volumes[dir] = v
	return v
}

// of returns the volume of a path, nil where it lies in none.
func (d *disk) of(path string) (*volume, string) {
	dir, name := filepath.Split(path)
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.volumes[strings.TrimSuffix(dir, "/")], name
}

// open opens a file of the file system beneath, behind ours.
func (d *disk) open(tls *libc.TLS, _, name, f uintptr, flags int32, out uintptr) int32 {
	file := (*sqlite3.Tsqlite3_file)(pointer(f))
	file.FpMethods = 0
	v, base := d.of(libc.GoString(name))
	if rc := v.decide("open", base); rc != 0 {
		return rc
	}
	real := (*sqlite3.Tsqlite3_vfs)(pointer(d.beneath))
	rc := function[func(*libc.TLS, uintptr, uintptr, uintptr, int32, uintptr) int32](real.FxOpen)(tls, d.beneath, name, f+realAt, flags, out)
	if (*sqlite3.Tsqlite3_file)(pointer(f+realAt)).FpMethods == 0 {
		return rc
	}
	file.FpMethods = d.methods
	if v != nil {
		d.mu.Lock()
		d.files[f] = onDisk{v, base}
		d.mu.Unlock()
	}
	return rc
}

func (d *disk) delete(tls *libc.TLS, _, name uintptr, sync int32) int32 {
	v, base := d.of(libc.GoString(name))
	if rc := v.decide("delete", base); rc != 0 {
		return rc
	}
	real := (*sqlite3.Tsqlite3_vfs)(pointer(d.beneath))
	rc := function[func(*libc.TLS, uintptr, uintptr, int32) int32](real.FxDelete)(tls, d.beneath, name, sync)
	if rc == 0 {
		v.happened(change{op: "delete", file: base})
	}
	return rc
}

// write writes; one that fails has written the first half, as disks do.
func (d *disk) write(tls *libc.TLS, f, buf uintptr, n int32, at int64) int32 {
	write := function[onBytes](d.file(f).FxWrite)
	data := func(n int32) []byte { return append([]byte(nil), unsafe.Slice((*byte)(pointer(buf)), n)...) }
	if rc := d.ask("write", f); rc != 0 {
		if n > 1 && write(tls, f+realAt, buf, n/2, at) == 0 {
			d.changed(f, change{op: "write", at: at, data: data(n / 2)})
		}
		return rc
	}
	rc := write(tls, f+realAt, buf, n, at)
	if rc == 0 {
		d.changed(f, change{op: "write", at: at, data: data(n)})
	}
	return rc
}

// ask counts an op on an open file and says how it fails.
func (d *disk) ask(op string, f uintptr) int32 {
	d.mu.Lock()
	file := d.files[f]
	d.mu.Unlock()
	return file.v.decide(op, file.name)
}

func (d *disk) changed(f uintptr, c change) {
	d.mu.Lock()
	file := d.files[f]
	d.mu.Unlock()
	c.file = file.name
	file.v.happened(c)
}

func (v *volume) decide(op, name string) int32 {
	if v == nil {
		return 0
	}
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	v.ops++
	if v.fault == nil {
		return 0
	}
	rc := v.fault(op, name, v.ops)
	if rc != 0 {
		v.failed[op]++
	}
	return rc
}

func (v *volume) happened(c change) {
	if v == nil {
		return
	}
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	if c.op == "sync" && strings.HasSuffix(c.file, "-wal") {
		v.syncs++
	}
	if v.observe != nil {
		v.observe(c)
	}
}

// set changes what fails from now on; nil means nothing.
func (v *volume) set(fault func(op, file string, n int) int32) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	v.fault = fault
}

// counts returns how many ops there were, how many syncs of the log succeeded,
// and how many ops failed, syncs among them.
func (v *volume) counts() (ops, syncs, failed, failedSyncs int) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	for _, n := range v.failed {
		failed += n
	}
	return v.ops, v.syncs, failed, v.failed["sync"]
}

// diskNoRoom is the error of a write to a full disk.
const diskNoRoom = sqlite3.SQLITE_FULL

// The errors of a disk, as SQLite's file systems say them.
var diskErrors = map[string]int32{
	"open": sqlite3.SQLITE_CANTOPEN, "read": sqlite3.SQLITE_IOERR_READ, "write": sqlite3.SQLITE_IOERR_WRITE,
	"truncate": sqlite3.SQLITE_IOERR_TRUNCATE, "sync": sqlite3.SQLITE_IOERR_FSYNC, "delete": sqlite3.SQLITE_IOERR_DELETE,
}
