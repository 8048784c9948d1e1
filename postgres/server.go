package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daruma-run/daruma"
)

// oldest is the first version of the server with all that is used here.
const oldest = 130000

const selectServer = `SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
	(SELECT source FROM pg_settings WHERE name = 'synchronous_commit'),
	current_setting('server_version_num')::int, current_setting('server_encoding'), pg_is_in_recovery()`

// checkServer refuses servers on which an acknowledgement is worth nothing.
// The session must have been opened without settings of its own, so that it
// shows those of the role and the database.
func (s *source) checkServer(ctx context.Context, op string, conn *pgx.Conn) error {
	var fsync, pages, synchronous, from, encoding string
	var version int
	var standby bool
	if err := conn.QueryRow(ctx, selectServer).Scan(&fsync, &pages, &synchronous, &from, &version, &encoding, &standby); err != nil {
		return s.failure(ctx, op, err)
	}
	refuse := func(format string, args ...any) error {
		return daruma.Fail(op, daruma.KindInvalid, "%s: %s", s.name, fmt.Sprintf(format, args...))
	}
	switch {
	case version < oldest:
		return refuse("the server has version %d; accepted are 13 and later", version/10000)
	case standby:
		return refuse("the server is a standby and takes no writes; accepted is the primary")
	case fsync != "on":
		return refuse("the server runs with fsync=%s, so that a power cut loses what was acknowledged or the database; accepted is fsync=on", fsync)
	case pages != "on":
		return refuse("the server runs with full_page_writes=%s, so that a power cut leaves torn pages; accepted is full_page_writes=on", pages)
	case synchronous == "off" && from != "configuration file" && from != "command line" && from != "default":
		return refuse("synchronous_commit=off is set for this %s, so that a commit is acknowledged before it is on disk; accepted is on: ALTER ROLE … or ALTER DATABASE … RESET synchronous_commit, or take it out of the connection string", from)
	case encoding != "UTF8":
		return refuse("the database has the encoding %s; accepted is UTF8", encoding)
	}
	return nil
}
