package darumatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/daruma-run/daruma"
)

// Postgres is a PostgreSQL server for tests: one of their own, in a temporary
// folder and reached through a Unix socket there, or the one that the variable
// DARUMA_POSTGRES names. The zero value is not usable; see [StartPostgres].
type Postgres struct {
	dsn  string // of the database; with a server of its own without a schema
	dir  string // empty: somebody else's server
	bin  string
	user *user.User // whom the server runs as; nil: us
	cmd  *exec.Cmd
	said bytes.Buffer
}

// StartPostgres starts a server with its defaults, which are durable, as an
// unprivileged user where this process is root's. Where DARUMA_POSTGRES holds
// a connection string, that server is used instead and none is started.
// Callers end it with [Postgres.Stop]. KindNotFound says that there is neither
// such a variable nor the server's programs: tests skip with that message.
func StartPostgres(ctx context.Context) (*Postgres, error) {
	const op = "darumatest.StartPostgres"
	if dsn := os.Getenv("DARUMA_POSTGRES"); dsn != "" {
		return &Postgres{dsn: dsn}, nil
	}
	p := &Postgres{bin: serverPrograms()}
	if p.bin == "" {
		return nil, daruma.Fail(op, daruma.KindNotFound, "no PostgreSQL server: install Debian's package postgresql, or name a database in DARUMA_POSTGRES, such as postgres://user@127.0.0.1/test")
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"postgres", "nobody"} {
			if u, err := user.Lookup(name); err == nil && p.user == nil {
				p.user = u
			}
		}
		if p.user == nil {
			return nil, daruma.Fail(op, daruma.KindNotFound, "no user postgres or nobody to run the server as")
		}
	}
	dir, err := os.MkdirTemp("", "daruma-pg")
	if err != nil {
		return nil, err
	}
	p.dir = dir
	if p.user != nil {
		uid, _ := strconv.Atoi(p.user.Uid)
		gid, _ := strconv.Atoi(p.user.Gid)
		err = os.Chown(dir, uid, gid)
	}
	if err == nil {
		err = p.run(ctx, "initdb", "--no-sync", "--auth=trust", "--username=daruma", "--encoding=UTF8", "--locale=C", "--pgdata="+p.data())
	}
	if err == nil {
		err = p.start(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	p.dsn = (&url.URL{Scheme: "postgres", User: url.User("daruma"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(p.dir)}).String()
	return p, nil
}

// serverPrograms returns the folder with initdb and postgres, "" for none.
func serverPrograms() string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // Debian; the pattern is good
	if len(found) > 0 {
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }))
	}
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil {
			return filepath.Dir(real)
		}
	}
	return ""
}

func version(initdb string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(initdb))))
	return n
}

func (p *Postgres) data() string { return filepath.Join(p.dir, "data") }

// command is one of the server's programs, run as its user.
func (p *Postgres) command(program string, args ...string) *exec.Cmd {
	all := append([]string{filepath.Join(p.bin, program)}, args...)
	if setpriv, err := exec.LookPath("setpriv"); err == nil {
		front := []string{setpriv, "--pdeathsig=QUIT"} // it ends with the tests, whatever ends them
		if p.user != nil {
			front = append(front, "--reuid="+p.user.Uid, "--regid="+p.user.Gid, "--clear-groups")
		}
		all = slices.Concat(front, []string{"--"}, all)
	} else if p.user != nil {
		all = slices.Concat([]string{"runuser", "-u", p.user.Username, "--"}, all)
	}
	cmd := exec.Command(all[0], all[1:]...)
	cmd.Dir = p.dir
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
	return cmd
}

// run performs a program to its end, for at most a minute.
func (p *Postgres) run(ctx context.Context, program string, args ...string) error {
	cmd := p.command(program, args...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })()
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, said.String())
	}
	return nil
}

// start starts the server and returns when it takes connections.
func (p *Postgres) start(ctx context.Context) error {
	p.cmd = p.command("postgres", "-D", p.data(), "-k", p.dir, "-c", "listen_addresses=",
		"-c", "shared_buffers=32MB", "-c", "max_connections=60", "-c", "max_wal_size=256MB", "-c", "timezone=UTC")
	p.said.Reset()
	p.cmd.Stdout, p.cmd.Stderr = &p.said, &p.said
	if err := p.cmd.Start(); err != nil {
		p.cmd = nil
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.run(ctx, "pg_isready", "-q", "-h", p.dir, "-U", "daruma") == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			err := p.end(syscall.SIGQUIT)
			return fmt.Errorf("the server does not start: %w: %v\n%s", ctx.Err(), err, p.said.String())
		}
	}
}

// end sends the server a signal by its pid and waits until it is gone, for at
// most 20 seconds.
func (p *Postgres) end(signal os.Signal) error {
	if p.cmd == nil {
		return nil
	}
	cmd := p.cmd
	p.cmd = nil
	_ = cmd.Process.Signal(signal) // it may be gone
	late := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() >= 0 {
		return nil // however it puts its end
	}
	return err
}

// DSN returns the connection string of a schema of the server's database; of
// the default one where schema is empty.
func (p *Postgres) DSN(schema string) string {
	if schema == "" {
		return p.dsn
	}
	sep := "?"
	if !strings.Contains(p.dsn, "://") {
		return p.dsn + " schema=" + schema
	}
	if strings.Contains(p.dsn, "?") {
		sep = "&"
	}
	return p.dsn + sep + "schema=" + schema
}

// Own reports whether the server was started here, so that it may be crashed.
func (p *Postgres) Own() bool { return p.dir != "" }

// Crash ends a server of its own as a kernel panic of its processes would,
// without a checkpoint, and starts it again: it recovers from its log.
func (p *Postgres) Crash(ctx context.Context) error {
	if !p.Own() {
		return daruma.Fail("darumatest.Postgres.Crash", daruma.KindDenied, "the server that DARUMA_POSTGRES names is somebody else's")
	}
	if err := p.end(syscall.SIGQUIT); err != nil {
		return err
	}
	return p.start(ctx)
}

// Stop ends a server of its own and removes its folder. It may be called again.
func (p *Postgres) Stop() error {
	if !p.Own() {
		return nil
	}
	return errors.Join(p.end(syscall.SIGQUIT), os.RemoveAll(p.dir))
}
