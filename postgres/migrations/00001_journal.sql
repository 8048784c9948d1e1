-- +goose Up
-- Times are microseconds since 1970 UTC; a wake_at of 0 is none.
-- States are the numbers of daruma.RunState: 0 running, 1 waiting, 2 parked.

-- Who writes. Each owner takes the next epoch, and every commit checks that it
-- is still its own.
CREATE TABLE owner (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    epoch   bigint  NOT NULL,
    pid     bigint  NOT NULL, -- the process
    host    text    NOT NULL,
    since   bigint  NOT NULL,
    backend integer NOT NULL, -- the server's process of the session that writes
    began   bigint  NOT NULL  -- and when that began
);

INSERT INTO owner (epoch, pid, host, since, backend, began) VALUES (0, 0, '', 0, 0, 0);

CREATE SEQUENCE run_n;

CREATE TABLE run (
    n          bigint  PRIMARY KEY, -- of run_n: order of creation
    id         text    COLLATE "C" NOT NULL UNIQUE,
    tenant     text    COLLATE "C" NOT NULL,
    type       text    COLLATE "C" NOT NULL,
    name       text    COLLATE "C" NOT NULL,
    state      integer NOT NULL,
    note       text    NOT NULL,
    head       bigint  NOT NULL, -- seq of the last event
    epoch      bigint  NOT NULL,
    node       text    COLLATE "C" NOT NULL, -- who holds it; '' is nobody
    wake_at    bigint  NOT NULL,
    started    bigint  NOT NULL,
    updated    bigint  NOT NULL,
    checkpoint bigint  NOT NULL, -- seq of the last run.checkpoint; 0 is none
    hash       bytea   NOT NULL, -- of the last event
    lost       boolean NOT NULL  -- the last holder died holding the run
) WITH (fillfactor = 70);        -- room to update in place

CREATE INDEX run_ready ON run (n) WHERE node = '' AND state = 0;
CREATE INDEX run_due ON run (wake_at) WHERE node = '' AND state IN (1, 2) AND wake_at > 0;
CREATE INDEX run_held ON run (node) WHERE node <> '';

CREATE TABLE event (
    run     bigint NOT NULL, -- run.n
    seq     bigint NOT NULL,
    kind    text   NOT NULL,
    time    bigint NOT NULL,
    actor   text   NOT NULL,
    payload bytea  NOT NULL,
    hash    bytea  NOT NULL,
    PRIMARY KEY (run, seq)
);

CREATE TABLE post (
    n       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run     text   COLLATE "C" NOT NULL, -- run.id, of a run that may not exist yet
    tenant  text   COLLATE "C" NOT NULL,
    topic   text   COLLATE "C" NOT NULL,
    key     text   COLLATE "C" NOT NULL,
    payload bytea  NOT NULL,
    author  text   NOT NULL,
    time    bigint NOT NULL,
    folded  bigint NOT NULL, -- head of the run that folded it in; 0 not yet, -1 never will be
    UNIQUE (run, tenant, topic, key)
);

CREATE INDEX post_open ON post (run, tenant) WHERE folded = 0;

CREATE TABLE key_claim (
    tenant      text   COLLATE "C" NOT NULL,
    key         text   COLLATE "C" NOT NULL,
    run         text   COLLATE "C" NOT NULL,
    fingerprint bytea  NOT NULL,
    until       bigint NOT NULL, -- 0 is for ever
    PRIMARY KEY (tenant, key)
);

CREATE TABLE approval (
    n      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     text    COLLATE "C" NOT NULL,
    tenant text    COLLATE "C" NOT NULL,
    run    text    COLLATE "C" NOT NULL,
    body   bytea   NOT NULL, -- JSON of daruma.Approval
    closed boolean NOT NULL,
    UNIQUE (tenant, id)
);

CREATE INDEX approval_open ON approval (run) WHERE NOT closed;

CREATE TABLE budget (
    tenant text   COLLATE "C" NOT NULL,
    name   text   COLLATE "C" NOT NULL,
    spent  bigint NOT NULL, -- what open grants drew or really cost, and what closed ones cost
    PRIMARY KEY (tenant, name)
);

CREATE TABLE spend_grant (
    tenant  text    COLLATE "C" NOT NULL,
    id      text    COLLATE "C" NOT NULL,
    budget  text    COLLATE "C" NOT NULL,
    node    text    NOT NULL,
    drawn   bigint  NOT NULL,
    settled bigint  NOT NULL,
    closed  boolean NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE TABLE blob (
    tenant text  COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    bytes  bytea NOT NULL,
    PRIMARY KEY (tenant, digest)
);

-- Both raise an error, so that what stands behind them in the transaction, the
-- COMMIT included, does not happen.

-- owned lets nobody write but the owner of this epoch; the next owner waits for
-- its transaction.
-- +goose StatementBegin
CREATE FUNCTION owned(mine bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM owner WHERE epoch = mine FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'another process owns the journal' USING ERRCODE = 'DR001';
    END IF;
END
$$;
-- +goose StatementEnd

-- expect wants a statement to have changed as many rows as were to be changed.
-- +goose StatementBegin
CREATE FUNCTION expect(changed bigint, wanted bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> wanted THEN
        RAISE EXCEPTION '% of % rows of % are as they were read', changed, wanted, what USING ERRCODE = 'DR002';
    END IF;
END
$$;
-- +goose StatementEnd
