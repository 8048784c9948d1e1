package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
	"github.com/daruma-run/daruma/postgres"
)

// operate performs statements as the operator of the server.
func operate(t *testing.T, statements ...string) {
	t.Helper()
	conn := root(t)
	for _, s := range statements {
		if _, err := conn.Exec(context.Background(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// await asks the server until it says yes: settings are reloaded in their own time.
func await(t *testing.T, question string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(t.Context(), server.DSN(""))
		if err != nil {
			t.Fatal(err)
		}
		var yes bool
		err = conn.QueryRow(t.Context(), question).Scan(&yes)
		_ = conn.Close(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		}
	}
}

func TestServersThatLoseCommitsAreRefused(t *testing.T) {
	dsn := place(t)
	if !server.Own() {
		t.Skip("changes settings of the server, which is somebody else's")
	}
	refused := func(t *testing.T, dsn, want string) {
		t.Helper()
		_, err := postgres.Open(t.Context(), dsn, nil)
		if daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "accepted is") {
			t.Errorf("open: %v, want %s", err, want)
		}
		_, err = postgres.Connect(t.Context(), dsn)
		if daruma.KindOf(err) != daruma.KindInvalid {
			t.Errorf("connect: %v", err)
		}
	}
	for _, name := range []string{"fsync", "full_page_writes"} {
		t.Run(name, func(t *testing.T) {
			db := open(t, dsn, &postgres.Options{Poll: 10 * time.Millisecond})
			operate(t, `ALTER SYSTEM SET `+name+` = off`, `SELECT pg_reload_conf()`)
			defer await(t, `SELECT current_setting('`+name+`') = 'on'`)
			defer operate(t, `ALTER SYSTEM RESET `+name, `SELECT pg_reload_conf()`)
			select {
			case <-db.Down(): // an owner notices by itself
			case <-time.After(20 * time.Second):
				t.Error("the owner goes on")
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			await(t, `SELECT current_setting('`+name+`') = 'off'`)
			refused(t, dsn, name+"=off")
		})
	}
	t.Run("role", func(t *testing.T) {
		operate(t, `CREATE ROLE careless LOGIN SUPERUSER`, `ALTER ROLE careless SET synchronous_commit = off`)
		defer operate(t, `DROP ROLE careless`)
		refused(t, strings.Replace(dsn, "daruma@", "careless@", 1), "synchronous_commit=off is set for this user")
	})
	t.Run("connection string", func(t *testing.T) {
		refused(t, dsn+"&synchronous_commit=off", "synchronous_commit=off is set for this client")
	})
	t.Run("encoding", func(t *testing.T) {
		operate(t, `CREATE DATABASE plain ENCODING 'SQL_ASCII' TEMPLATE template0`)
		defer operate(t, `DROP DATABASE plain`)
		refused(t, strings.Replace(dsn, "/postgres", "/plain", 1), "encoding SQL_ASCII")
	})
}

func TestConnectionStrings(t *testing.T) {
	dsn := place(t)
	for name, test := range map[string]struct {
		dsn  string
		kind daruma.Kind
	}{
		"empty":         {"", daruma.KindInvalid},
		"not readable":  {"postgres://ann:hunter2@host:port:/x", daruma.KindInvalid},
		"words":         {"host=/nowhere password=hunter2 =", daruma.KindInvalid},
		"bad schema":    {dsn + "&schema=A-b", daruma.KindInvalid},
		"no server":     {"postgres://ann:hunter2@127.0.0.1:1/x?connect_timeout=2&sslmode=disable", daruma.KindUnavailable},
		"no database":   {strings.Replace(strings.Replace(dsn, "daruma@", "daruma:hunter2@", 1), "/postgres", "/none", 1), daruma.KindNotFound},
		"no such role":  {strings.Replace(dsn, "daruma@", "nobody:hunter2@", 1), daruma.KindUnauthorized},
		"secret in use": {strings.Replace(strings.Replace(dsn, "daruma@", "hunter2:hunter2@", 1), "/postgres", "/hunter2", 1), daruma.KindUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := postgres.Open(t.Context(), test.dsn, nil)
			if daruma.KindOf(err) != test.kind || strings.Contains(fmt.Sprintf("%v %+v", err, err), "hunter2") {
				t.Errorf("open: %v (%v), want %v", err, daruma.KindOf(err), test.kind)
			}
			_, err = postgres.Connect(t.Context(), test.dsn)
			if daruma.KindOf(err) != test.kind || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("connect: %v", err)
			}
		})
	}
}

func TestForeignSchemas(t *testing.T) {
	dsn := place(t)
	schema := schemaOf(dsn)
	operate(t, `CREATE SCHEMA `+schema, `CREATE TABLE `+schema+`.orders (n int)`)
	if _, err := postgres.Open(t.Context(), dsn, nil); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a foreign schema: %v", err)
	}
	operate(t, `DROP TABLE `+schema+`.orders`)
	db := open(t, dsn, nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	operate(t, `INSERT INTO `+schema+`.goose_db_version (version_id, is_applied) VALUES (99, true)`)
	if _, err := postgres.Open(t.Context(), dsn, nil); daruma.KindOf(err) != daruma.KindInvalid || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer schema: %v", err)
	}
}

func TestOwnerIsNamed(t *testing.T) {
	dsn := place(t)
	db := open(t, dsn, nil)
	_, err := postgres.Open(t.Context(), dsn, &postgres.Options{Patience: time.Millisecond})
	if daruma.KindOf(err) != daruma.KindExists || !strings.Contains(err.Error(), fmt.Sprint("pid ", os.Getpid())) || !strings.Contains(err.Error(), " since 2") {
		t.Errorf("second open: %v", err)
	}
	r, err := postgres.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if o, lives, err := r.Owner(t.Context()); err != nil || !lives || o.PID != os.Getpid() {
		t.Errorf("owner %v, lives %v: %v", o, lives, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if o, lives, err := r.Owner(t.Context()); err != nil || lives {
		t.Errorf("owner %v, lives %v: %v", o, lives, err)
	}
	other := open(t, place(t), nil) // another schema has another owner
	open(t, dsn, nil)
	_ = other
}
