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
from crawler.text import encodable
from crawler.tracebacks import spider_frames, traceback_of


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


def retry_error(error: FetchError, raised: Exception) -> FetchError:
    """Return the failure of a page after whose ``error`` the spider's ``retry`` raised."""
    kind = type(raised).__name__
    return FetchError(f"{kind} in retry", f"{error}; retry raised {kind}: {raised}")


def report_of(
    request: Request, error: Exception, mask: Callable[[str], str] = str
) -> FailureReport:
    """Return the report of a failure: its cause in a few words, and the message, masked."""
    if isinstance(error, ReportedError):
        return error.report
    url = mask(urls.redacted(request.url))
    if isinstance(error, (DisallowedError, FetchError, LoginError, SystemResourceError)):
        return FailureReport(url, error.cause, encodable(mask(str(error))))
    where = f"{type(error).__name__} in {request.callback}()"
    message = encodable(mask(f"{url}: {where}: {error}"))
    # Our own check of a callback's result needs no traceback: the message explains it.
    explains_itself = isinstance(error, SpiderError) and spider_frames(error) is None
    return FailureReport(url, where, message, "" if explains_itself else traceback_of(error, mask))


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


def problem_of(request: Request, error: Exception, mask: Callable[[str], str] = str) -> Problem:
    """Return ``error`` as a message for the worker that will report it to the spider."""
    report = report_of(request, error, mask)
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
