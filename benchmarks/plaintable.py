"""A plain table of fingerprints, which every frontier needs, as a measure of the machine."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from benchmarks.frontier import HOSTS, LINKS
from crawler.request import Request, fingerprint
from crawler.store.sqlite.schema import TUNING

TOGETHER = 20_000
"""Rows of one transaction; about as many as in a commit of the frontier benchmark."""


def rate(folder: Path, urls: int) -> float:
    """Return the fingerprints per second that a table in ``folder`` accepts.

    As in the frontier benchmark, the pages of a host come 100 at a time, with the same pragmas.
    """
    keys = [
        (fingerprint(Request(f"https://host-{number // LINKS % HOSTS}.example/{number}")),)
        for number in range(urls)
    ]
    with closing(sqlite3.connect(folder / "plain.db", isolation_level=None)) as db:
        for pragma in TUNING:
            db.execute(f"PRAGMA {pragma}")
        db.execute("CREATE TABLE seen (fingerprint BLOB PRIMARY KEY) WITHOUT ROWID")
        began = time.perf_counter()
        for start in range(0, urls, TOGETHER):
            db.execute("BEGIN")
            some = keys[start : start + TOGETHER]
            db.executemany("INSERT OR IGNORE INTO seen VALUES (?)", some)
            db.execute("COMMIT")
        return urls / (time.perf_counter() - began)
