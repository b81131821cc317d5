"""The store's tables, by recorded migrations: each is applied once, in order, and never edited."""

from __future__ import annotations

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE job (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

    CREATE TABLE hosts (
        id INTEGER PRIMARY KEY,
        origin TEXT NOT NULL,
        account TEXT NOT NULL DEFAULT '',
        next_at REAL NOT NULL DEFAULT 0,
        granted REAL NOT NULL DEFAULT 0,
        robots BLOB,
        robots_at REAL NOT NULL DEFAULT 0,
        UNIQUE (origin, account)
    );

    -- Every fingerprint ever known, with the callback that asked for it.
    CREATE TABLE seen (
        fingerprint BLOB PRIMARY KEY,
        callback TEXT
    ) WITHOUT ROWID;

    -- The pages that redirects have led to.
    CREATE TABLE arrived (
        fingerprint BLOB PRIMARY KEY,
        callback TEXT
    ) WITHOUT ROWID;

    -- The queues of all hosts, each in the order in which it is worked off.
    CREATE TABLE pending (
        host INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        id INTEGER NOT NULL,
        due REAL,
        once INTEGER NOT NULL DEFAULT 0,  -- 1: must not be sent twice, 2: may have been sent
        request BLOB NOT NULL,
        PRIMARY KEY (host, rank, id)
    ) WITHOUT ROWID;

    CREATE INDEX waiting ON pending (host, due) WHERE due IS NOT NULL;

    CREATE TABLE failed (
        id INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        url TEXT NOT NULL,
        cause TEXT NOT NULL,
        message TEXT NOT NULL,
        traceback TEXT NOT NULL,
        request BLOB NOT NULL
    );

    CREATE TABLE sessions (
        key TEXT PRIMARY KEY,
        cookies BLOB NOT NULL,
        login BLOB NOT NULL,
        usage BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
)
