package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daruma-run/daruma"
)

// defaultSchema is where a journal lies unless somebody says otherwise.
const defaultSchema = "daruma"

// source is where a journal lies and how to get there.
type source struct {
	config  *pgx.ConnConfig
	schema  string
	channel string // of LISTEN and NOTIFY
	lock    int64  // of pg_advisory_lock
	name    string // for people; without a password
}

// parse reads a connection string. What it cannot read it does not repeat,
// since it may hold a password.
func parse(op, dsn string) (*source, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil || strings.TrimSpace(dsn) == "" {
		return nil, daruma.Fail(op, daruma.KindInvalid, "the connection string cannot be read (it is not shown, it may hold a password); accepted: postgres://user@host:5432/database?schema=daruma, the password in PGPASSWORD or a passfile")
	}
	s := &source{config: config, schema: config.RuntimeParams["schema"]}
	delete(config.RuntimeParams, "schema")
	if s.schema == "" {
		s.schema = defaultSchema
	}
	if len(s.schema) > 63 || strings.HasPrefix(s.schema, "pg_") || strings.ContainsFunc(s.schema, func(r rune) bool {
		return r != '_' && (r < 'a' || r > 'z') && (r < '0' || r > '9')
	}) {
		return nil, daruma.Fail(op, daruma.KindInvalid, "schema %q: accepted are up to 63 of a-z, 0-9 and _, not beginning with pg_", s.schema)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "daruma"
	}
	config.RuntimeParams["search_path"] = pgx.Identifier{s.schema}.Sanitize()
	config.RuntimeParams["client_encoding"] = "UTF8"
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 10 * time.Second
	}
	sum := sha256.Sum256([]byte("daruma owner of " + s.schema))
	s.lock, s.channel = int64(binary.BigEndian.Uint64(sum[:8])), s.schema
	s.name = fmt.Sprintf("database %s on %s, schema %s", config.Database, net.JoinHostPort(config.Host, fmt.Sprint(config.Port)), s.schema)
	return s, nil
}

// settings of every session but the first, whose own are looked at.
var sessionSettings = map[string]string{
	"synchronous_commit": "on", "jit": "off", "lock_timeout": "10s", "statement_timeout": "0",
	"idle_in_transaction_session_timeout": "60s", "tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3",
}

// writerSettings have the few statements of the writer planned once, each on
// the index it is meant for, however small or new its table is.
var writerSettings = map[string]string{
	"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "enable_bitmapscan": "off",
}

// with returns the configuration with more settings.
func (s *source) with(settings ...map[string]string) *pgx.ConnConfig {
	c := s.config.Copy()
	for _, more := range settings {
		for name, value := range more {
			c.RuntimeParams[name] = value
		}
	}
	return c
}

// connect opens one session.
func (s *source) connect(ctx context.Context, op string, settings ...map[string]string) (*pgx.Conn, error) {
	conn, err := pgx.ConnectConfig(ctx, s.with(settings...))
	if err != nil {
		return nil, s.failure(ctx, op, err)
	}
	return conn, nil
}

// pool makes the connections for reading and posting; none is opened yet.
func (s *source) pool(op string) (*pgxpool.Pool, error) {
	c, err := pgxpool.ParseConfig("")
	if err != nil {
		return nil, s.failure(context.Background(), op, err)
	}
	c.ConnConfig = s.with(sessionSettings)
	c.MaxConns, c.MaxConnIdleTime = 8, time.Minute
	p, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		return nil, s.failure(context.Background(), op, err)
	}
	return p, nil
}

// failure wraps an error of connecting; a password in its text is taken out.
func (s *source) failure(ctx context.Context, op string, err error) error {
	if ctx.Err() != nil {
		return ended(ctx, op)
	}
	kind := kindOf(err)
	if kind == daruma.KindUnknown {
		kind = daruma.KindUnavailable
	}
	if secret := s.config.Password; secret != "" && strings.Contains(err.Error(), secret) {
		err = errors.New(strings.ReplaceAll(err.Error(), secret, "***"))
	}
	return &daruma.Failure{Op: op, Kind: kind, Err: err}
}
