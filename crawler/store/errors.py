"""Errors of a store, of whatever kind it is, as sentences with a way out."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import msgspec

from crawler.errors import JobError
from crawler.system_errors import to_crawler_error

UNREADABLE = (UnicodeDecodeError, json.JSONDecodeError, msgspec.DecodeError)
"""Exceptions raised when a corrupt store contains invalid text, JSON or msgpack."""


def corrupt_store(path: Path | None, why: str) -> JobError:
    """Return the error for a store whose content is not as it was written."""
    return JobError(
        f"{path} cannot be used as a job's store ({why}); restore it from a backup, "
        "or start again with --fresh"
    )


@contextlib.contextmanager
def translating_errors(path: Path) -> Iterator[None]:
    """Raise errors of the system and of decoding as the errors that they mean to the user.

    ``path`` is the store. The errors of a kind of store are translated where it is opened.
    """
    try:
        yield
    except UNREADABLE as error:
        raise corrupt_store(path, str(error)) from error
    except OSError as error:
        translated = to_crawler_error(error, path)
        if translated is None:
            raise
        raise translated from error
