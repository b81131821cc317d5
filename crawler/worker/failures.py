"""Errors of a request: the ones that a worker raises itself, and the report of any of them."""

from __future__ import annotations

from collections.abc import Callable

from crawler import urls
from crawler.errors import (
    DisallowedError,
    FetchError,
    LoginError,
    SpiderError,
    StatusError,
    SystemResourceError,
)
from crawler.messages import Problem
from crawler.parsing.response import Response
from crawler.records import FailureReport
from crawler.request import Request
from crawler.text import cut, encodable
from crawler.tracebacks import spider_frames, traceback_of
from crawler.values.plain import message_of

LONGEST_URL = 2_000
"""Characters of a URL in a report."""
LONGEST_CAUSE = 200
"""Characters of a cause in a report."""
LONGEST_MESSAGE = 4_000
"""Characters of a message in a report."""


def status_error(request: Request, response: Response) -> StatusError:
    """Return the error for a response with a status of 400 or above."""
    status = response.status
    return StatusError(
        status, f"{urls.redacted(request.url)}: the server answered {status}", response
    )


def may_have_been_sent(request: Request, when: str) -> FetchError:
    """Return the error for a request with ``replay=False`` whose first try has no known end."""
    return FetchError(
        "may have been sent",
        f"{urls.redacted(request.url)}: the {request.method} may have been sent when {when}, "
        "and is not sent again (replay=False)",
    )


def retry_error(error: FetchError, raised: BaseException) -> FetchError:
    """Return the failure of a page after whose ``error`` the spider's ``retry`` raised."""
    kind = type(raised).__name__
    return FetchError(f"{kind} in retry", f"{error}; retry raised {kind}: {message_of(raised)}")


def report_of(
    request: Request,
    error: BaseException,
    mask: Callable[[str], str] = str,
    where: str = "",
) -> FailureReport:
    """Return the report of a failure: its cause in a few words, and the message, masked.

    ``where`` it happened is by default the callback.
    """
    if isinstance(error, ReportedError):
        return error.report
    url = _short(mask(urls.redacted(request.url)), LONGEST_URL)
    message = message_of(error)
    if isinstance(error, (DisallowedError, FetchError, LoginError, SystemResourceError)):
        cause = _short(mask(str(error.cause)), LONGEST_CAUSE)  # a spider may have raised it
        return FailureReport(url, cause, _short(mask(message), LONGEST_MESSAGE))
    where = f"{type(error).__name__} in {where or f'{request.callback}()'}"
    where = _short(where, LONGEST_CAUSE)
    message = _short(mask(f"{url}: {where}: {message}"), LONGEST_MESSAGE)
    # Our own check of a callback's result needs no traceback: the message explains it.
    explains_itself = isinstance(error, SpiderError) and spider_frames(error) is None
    return FailureReport(url, where, message, "" if explains_itself else traceback_of(error, mask))


def _short(text: str, most: int) -> str:
    return cut(encodable(text), most)


# From the fetching process to a worker

_KINDS: dict[str, Callable[[str], Exception]] = {
    "DisallowedError": DisallowedError,
    "LoginError": LoginError,
    "SystemResourceError": SystemResourceError,
}


class ReportedError(Exception):
    """An error in the fetching process that is reported already."""

    def __init__(self, report: FailureReport) -> None:
        super().__init__(report.message)
        self.report = report


def problem_of(request: Request, error: BaseException, mask: Callable[[str], str] = str) -> Problem:
    """Return ``error`` as a message for the worker that will report it to the spider."""
    report = report_of(request, error, mask, "the request")
    if isinstance(error, FetchError):
        return Problem(report, "FetchError", error.retryable)
    kind = type(error).__name__
    return Problem(report, kind if kind in _KINDS else "")


def error_of(problem: Problem) -> Exception:
    """Return the exception that ``problem`` was made of, as far as policies look at it."""
    report = problem.report
    if problem.error_class == "FetchError":
        return FetchError(report.cause, report.message, retryable=problem.retryable)
    if problem.error_class:
        return _KINDS[problem.error_class](report.message)
    return ReportedError(report)
