"""What went wrong with one request, as it is kept, counted and told."""

from __future__ import annotations

import traceback
from collections.abc import Callable

from crawler import urls
from crawler.errors import (
    DisallowedError,
    FetchError,
    LoginError,
    MachineError,
    StatusError,
)
from crawler.messages import FailureReport, encodable
from crawler.request import Request
from crawler.response import Response


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
    if isinstance(error, (DisallowedError, FetchError, LoginError, MachineError)):
        return FailureReport(url, error.cause, encodable(mask(str(error))))
    where = f"{type(error).__name__} in {request.callback}()"
    message = encodable(mask(f"{url}: {where}: {error}"))
    return FailureReport(url, where, message, traceback_of(error, mask))


def traceback_of(error: Exception, mask: Callable[[str], str] = str) -> str:
    """The whole traceback as text, masked."""
    return encodable(mask("".join(traceback.format_exception(error))))
