"""Every error that the crawler raises on purpose, in one tree.

::

    CrawlerError
    ├── UsageError            the user can correct it: exit status 2
    │   ├── SettingsError     a setting's name or value
    │   ├── SeedError         a seed list, or a line of it
    │   ├── SpiderError       the spider class, its callbacks, its arguments
    │   ├── AccountError      an account, or its password
    │   ├── CookieFileError   a file of cookies, or a line of it
    │   └── JobError          the job folder, its store or its output
    │       └── JobLockedError     another process runs the job
    ├── SystemResourceError   the disk is full, file handles run out: exit status 1
    ├── LoginError            an account could not be logged in: exit status 4
    │   └── InputRequiredError     … as it needs the answer of a person
    ├── DisallowedError       robots.txt forbids the URL
    ├── FetchError            one request got no usable response
    │   └── StatusError       … because of its status code
    └── ItemError             one item cannot be written

A message names the thing, the place and the way out, in one sentence. There is also a warning,
FailedPagesWarning.
"""

from __future__ import annotations

from typing import Any


class CrawlerError(Exception):
    """The root: ``except CrawlerError`` catches every error that the crawler raises on purpose."""

    exit_status = 1
    """The status with which the command ends when the error ends it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, self.__dict__)


def _rebuilt(kind: type[CrawlerError], args: Any, attributes: dict[str, Any]) -> CrawlerError:
    """Return an error of another process. Its class may have other arguments than its message."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class UsageError(CrawlerError):
    """Bad input that the user can correct."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting that does not exist or a value that it cannot have."""


class SeedError(UsageError):
    """A seed list that cannot be read, or that has no valid line."""


class SpiderError(UsageError):
    """A spider that cannot be found or created, or that names a callback it does not have."""


class AccountError(UsageError):
    """An invalid account, or one whose password is unavailable."""


class CookieFileError(UsageError):
    """A file that is no cookie export of a browser, or that cannot be written."""


class JobError(UsageError):
    """A job folder, a store or an output that cannot be used as it is."""


class JobLockedError(JobError):
    """Another process runs the job; the message names it."""


class SystemResourceError(CrawlerError):
    """This machine lacks a resource, such as disk space. The job can continue when it is back."""

    cause = "this machine"


class LoginError(CrawlerError):
    """An account could not be logged in."""

    cause = "login"
    exit_status = 4


class InputRequiredError(LoginError):
    """A login needs the answer of a person, and there is no terminal.

    ``crawl login`` asks the ``question`` at the terminal.
    """

    cause = "waiting"

    def __init__(self, question: str, message: str = "") -> None:
        super().__init__(message or f"the login needs an answer: {question}")
        self.question = question


class DisallowedError(CrawlerError):
    """robots.txt forbids the URL."""

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


class NoNetworkError(FetchError):
    """No host's name resolves: the network of this machine is at fault, not the host."""

    def __init__(self, message: str) -> None:
        super().__init__("dns", message, retryable=True)


class StatusError(FetchError):
    """The status code of the ``response`` is an error."""

    def __init__(self, status: int, message: str, response: Any = None) -> None:
        super().__init__(f"http {status}", message)
        self.status = status
        self.response = response


class ItemError(CrawlerError):
    """One item cannot be written; it goes to ``rejected.jsonl`` with this message."""


class FailedPagesWarning(UserWarning):
    """Pages have failed in a ``crawl()`` without a job, whose failures cannot be looked up."""
