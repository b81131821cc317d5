"""What went wrong with one request, as it is kept, counted and told."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from crawler import urls
from crawler.errors import (
    DisallowedError,
    FetchError,
    LoginError,
    SpiderError,
    StatusError,
    SystemResourceError,
)
from crawler.messages import FailureReport, encodable
from crawler.parsing.response import Response
from crawler.request import Request

OURS = Path(__file__).parents[1]
"""Where the crawler's own code is."""


def status_error(request: Request, response: Response) -> StatusError:
    """The error that a response of 400 or above is."""
    status = response.status
    return StatusError(
        status, f"{urls.redacted(request.url)}: the server answered {status}", response
    )


def may_have_been_sent(request: Request, when: str) -> FetchError:
    """What happened to a request with ``replay=False`` of which nobody knows what became."""
    return FetchError(
        "may have been sent",
        f"{urls.redacted(request.url)}: the {request.method} may have been sent when {when}, "
        "and is not sent again (replay=False)",
    )


def report_of(
    request: Request, error: Exception, mask: Callable[[str], str] = str
) -> FailureReport:
    """What is kept of a failure: its cause in a few words, and the whole story, masked."""
    url = mask(urls.redacted(request.url))
    if isinstance(error, (DisallowedError, FetchError, LoginError, SystemResourceError)):
        return FailureReport(url, error.cause, encodable(mask(str(error))))
    where = f"{type(error).__name__} in {request.callback}()"
    message = encodable(mask(f"{url}: {where}: {error}"))
    # What a callback must not give is found by our code, and the message says all of it.
    is_told = isinstance(error, SpiderError) and _in_spider(error) is None
    return FailureReport(url, where, message, "" if is_told else traceback_of(error, mask))


def traceback_of(error: Exception, mask: Callable[[str], str] = str) -> str:
    """The traceback of an error in a spider as text, masked, without our frames before its own."""
    return _text(error, _in_spider(error) or error.__traceback__, mask)


def whole_traceback_of(error: Exception, mask: Callable[[str], str] = str) -> str:
    """The traceback of an error of our own as text, masked."""
    return _text(error, error.__traceback__, mask)


def _in_spider(error: Exception) -> TracebackType | None:
    """From the first frame on that is not of our code; None when all are."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).is_relative_to(OURS):
        trace = trace.tb_next
    return trace


def _text(error: Exception, trace: TracebackType | None, mask: Callable[[str], str]) -> str:
    return encodable(mask("".join(traceback.format_exception(type(error), error, trace))))
