"""The tables of the store, as recorded migrations: each is applied once, in order, never edited.

Above them are the settings of SQLite.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from crawler.errors import JobError

FULL_SYNC = "fullfsync = ON"
"""On macOS, each sync goes through the cache of the drive; elsewhere it changes nothing. For every
connection that writes."""
TUNING = (
    "journal_mode = WAL",
    "synchronous = NORMAL",
    FULL_SYNC,
    "cache_size = -65536",  # KiB
    "wal_autocheckpoint = 32000",  # pages of 4 KiB; see checkpoints
)

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
    """
    -- Whether a seed is at the host, and how many requests it has had or will have. What older jobs
    -- know was asked for before local addresses needed a seed.
    ALTER TABLE hosts ADD COLUMN seeded INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE hosts ADD COLUMN requests INTEGER NOT NULL DEFAULT 0;
    UPDATE hosts SET seeded = 1;
    """,
    """
    -- Requests that are done, and will be taken out of ``pending`` together with others.
    CREATE TABLE finished (
        id INTEGER PRIMARY KEY,
        host INTEGER NOT NULL,
        rank INTEGER NOT NULL
    );
    """,
    """
    -- Links that are not followed, as a GET of them may act, and their number by shape.
    CREATE TABLE skipped (fingerprint BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE skipped_shapes (
        shape TEXT PRIMARY KEY,
        links INTEGER NOT NULL,
        effect TEXT NOT NULL,
        sign TEXT NOT NULL,
        example TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    -- Each cookie has a row, so that a change costs no more than itself; their order is that in
    -- which they were first set. Until its next run, an older job has them in ``sessions``.
    CREATE TABLE cookies (
        id INTEGER PRIMARY KEY,
        session TEXT NOT NULL,
        key BLOB NOT NULL,  -- a digest of domain, path and name
        cookie BLOB NOT NULL,
        UNIQUE (session, key)
    );
    ALTER TABLE sessions RENAME COLUMN cookies TO old_cookies;
    """,
    """
    -- When a host is to be looked at again, if it has pending requests; NULL if it has none. It may
    -- have none in spite of a time: that is noticed when it is looked at.
    ALTER TABLE hosts ADD COLUMN due REAL;
    ALTER TABLE hosts ADD COLUMN back_off REAL NOT NULL DEFAULT 0;
    UPDATE hosts SET due = next_at WHERE id IN (SELECT host FROM pending);
    CREATE INDEX due_hosts ON hosts (due, id) WHERE due IS NOT NULL;
    """,
    """
    -- The number that the first request for a page has at the most (see ``SQLiteQueue.find``), 0 if
    -- it has failed; and the pending request whose page a redirect has brought before.
    ALTER TABLE seen ADD COLUMN number INTEGER;
    ALTER TABLE arrived ADD COLUMN superseded INTEGER;
    CREATE INDEX superseded_requests ON arrived (superseded) WHERE superseded IS NOT NULL;
    """,
)


def migrate(db: sqlite3.Connection) -> None:
    """Bring the tables to the newest version, each step in a transaction."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Raise JobError for a store of another version of the crawler."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != len(MIGRATIONS):
        way_out = "use the crawler that made it, or start again with --fresh"
        if version < len(MIGRATIONS):  # a reader may not migrate it
            way_out = "repeat its `crawl run`, which brings it to this one"
        raise JobError(
            f"{path} has store version {version}, but this crawler knows version "
            f"{len(MIGRATIONS)}; {way_out}"
        )
