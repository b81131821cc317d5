"""Every error that the crawler raises on purpose, in one tree.

::

    CrawlerError
    ├── UsageError            the user can put it right: exit status 2
    │   ├── SettingsError     a setting's name or value
    │   ├── SeedError         a seed list, or a line of it
    │   ├── SpiderError       the spider class, its callbacks, its arguments
    │   ├── AccountError      an account, or where its password should be
    │   ├── CookieFileError   a file of cookies, or a line of it
    │   └── JobError          the job folder, its store or its output
    │       └── JobLockedError     another process runs the job
    ├── SystemResourceError          the disk is full, file handles run out: exit status 1
    ├── LoginError            an account could not be logged in: exit status 4
    │   └── InputRequiredError      … as it asks for what only a person knows
    ├── DisallowedError            robots.txt does not let us ask
    ├── FetchError            one request got no usable response
    │   └── StatusError       … because of its status code
    └── ItemError             one item cannot be written

A message names the thing, the place and the way out, in one sentence. A warning stands beside
them: FailedPagesWarning.
"""

from __future__ import annotations

from typing import Any


class CrawlerError(Exception):
    """The root: ``except CrawlerError`` catches what the crawler raises on purpose."""

    exit_status = 1
    """The status with which the command ends when the error ends it."""


class UsageError(CrawlerError):
    """Bad input that the user can correct."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting that does not exist or a value that it cannot have."""


class SeedError(UsageError):
    """A seed list that cannot be read, or none of its lines can."""


class SpiderError(UsageError):
    """A spider that cannot be found or made, or that names a callback it does not have."""


class AccountError(UsageError):
    """An account that means nothing, or whose password cannot be had from where it should be."""


class CookieFileError(UsageError):
    """A file that is not what browsers export their cookies to, or cannot be written."""


class JobError(UsageError):
    """A job folder, a store or an output that cannot be used as it is."""


class JobLockedError(JobError):
    """The job is being run by another process; the message says which."""


class SystemResourceError(CrawlerError):
    """This machine does not give what the job needs; when it does again, the job goes on."""

    cause = "this machine"


class LoginError(CrawlerError):
    """An account could not be logged in."""

    cause = "login"
    exit_status = 4


class InputRequiredError(LoginError):
    """A login asks what only a person can answer, and nobody is there.

    ``question`` is what it asks. ``crawl login`` asks it at the terminal.
    """

    cause = "waiting"

    def __init__(self, question: str, message: str = "") -> None:
        super().__init__(message or f"the login needs an answer: {question}")
        self.question = question


class DisallowedError(CrawlerError):
    """robots.txt does not let us ask for this URL."""

    cause = "disallowed by robots.txt"


class FetchError(CrawlerError):
    """One request got no usable response.

    ``cause`` is a short stable word by which failures are counted, for instance
    ``timeout``, ``dns``, ``connection``, ``tls``, ``body too large`` or ``http 404``.
    """

    def __init__(self, cause: str, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.cause = cause
        self.retryable = retryable


class StatusError(FetchError):
    """The response's status code says that there is no page. ``response`` is what came."""

    def __init__(self, status: int, message: str, response: Any = None) -> None:
        super().__init__(f"http {status}", message)
        self.status = status
        self.response = response


class ItemError(CrawlerError):
    """One item cannot be written; it goes to ``rejected.jsonl`` with this message."""


class FailedPagesWarning(UserWarning):
    """Pages have failed in a ``crawl()`` that keeps no job in which one could look at them."""
