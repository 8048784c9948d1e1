-- +goose Up
-- Times are microseconds since 1970 UTC; a wake_at of 0 is none.
-- States are the numbers of daruma.RunState: 0 running, 1 waiting, 2 parked.
-- +goose StatementBegin
PRAGMA application_id = 1145131597; -- "DARM"
-- +goose StatementEnd

CREATE TABLE run (
    n          INTEGER PRIMARY KEY, -- order of creation
    id         TEXT    NOT NULL UNIQUE,
    tenant     TEXT    NOT NULL,
    type       TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    state      INTEGER NOT NULL,
    note       TEXT    NOT NULL,
    head       INTEGER NOT NULL, -- seq of the last event
    epoch      INTEGER NOT NULL,
    node       TEXT    NOT NULL, -- who holds it; '' is nobody
    wake_at    INTEGER NOT NULL,
    started    INTEGER NOT NULL,
    updated    INTEGER NOT NULL,
    checkpoint INTEGER NOT NULL, -- seq of the last run.checkpoint; 0 is none
    hash       BLOB    NOT NULL  -- of the last event
) STRICT;

CREATE INDEX run_ready ON run (n) WHERE node = '' AND state = 0;
CREATE INDEX run_due ON run (wake_at) WHERE node = '' AND state IN (1, 2) AND wake_at > 0;
CREATE INDEX run_held ON run (node) WHERE node <> '';

-- Appended in the order of commits, so that a commit of many runs touches few pages.
CREATE TABLE event (
    n       INTEGER PRIMARY KEY,
    run     INTEGER NOT NULL, -- run.n
    seq     INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    time    INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    hash    BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX event_seq ON event (run, seq);

CREATE TABLE post (
    n       INTEGER PRIMARY KEY,
    run     TEXT    NOT NULL, -- run.id, of a run that may not exist yet
    tenant  TEXT    NOT NULL,
    topic   TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    payload BLOB    NOT NULL,
    author  TEXT    NOT NULL,
    time    INTEGER NOT NULL,
    folded  INTEGER NOT NULL  -- head of the run that folded it in; 0 not yet, -1 never will be
) STRICT;

CREATE UNIQUE INDEX post_once ON post (run, tenant, topic, key);
CREATE INDEX post_open ON post (run, tenant) WHERE folded = 0;

CREATE TABLE key_claim (
    tenant      TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    run         TEXT    NOT NULL,
    fingerprint BLOB    NOT NULL,
    until       INTEGER NOT NULL, -- 0 is for ever
    PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE approval (
    n      INTEGER PRIMARY KEY,
    id     TEXT    NOT NULL,
    tenant TEXT    NOT NULL,
    run    TEXT    NOT NULL,
    body   BLOB    NOT NULL, -- JSON of daruma.Approval
    closed INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX approval_id ON approval (tenant, id);
CREATE INDEX approval_open ON approval (run) WHERE closed = 0;

CREATE TABLE budget (
    tenant TEXT    NOT NULL,
    name   TEXT    NOT NULL,
    spent  INTEGER NOT NULL, -- what open grants drew or really cost, and what closed ones cost
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE spend_grant (
    tenant  TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    budget  TEXT    NOT NULL,
    node    TEXT    NOT NULL,
    drawn   INTEGER NOT NULL,
    settled INTEGER NOT NULL,
    closed  INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE blob (
    tenant TEXT NOT NULL,
    digest BLOB NOT NULL,
    bytes  BLOB NOT NULL,
    PRIMARY KEY (tenant, digest)
) STRICT;
