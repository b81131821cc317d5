"""A worker turns one page into one result: it decodes, parses, and calls the spider.

``handle`` → ``_response`` → ``_parse`` → ``ResultCollector.collect``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import msgspec
from msgspec.structs import replace
from requests.structures import CaseInsensitiveDict

from crawler import urls
from crawler.clock import WallClock
from crawler.errors import FetchError, LoginError, StatusError, SystemResourceError
from crawler.gc_tuning import collect_garbage
from crawler.http.adapter import decoded_body
from crawler.http.redirects import is_same_when_direct
from crawler.messages import (
    Done,
    Examined,
    Failed,
    LoginFailed,
    MarksQuery,
    Output,
    Page,
    PageResult,
    Result,
    Retry,
    SeenMarks,
    Starved,
    Verdict,
    encode,
)
from crawler.output.items import ItemWriter
from crawler.parsing.login_marks import DeclaredMarks, examine
from crawler.parsing.response import Response
from crawler.request import Hop, Request, unpacked
from crawler.scheduling.retry import RESOURCE_WAIT, RetryPolicy
from crawler.scope import Scope
from crawler.session.login_progress import first_url
from crawler.session.login_turn import from_first_hop
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.spider import Failure, Spider
from crawler.tracebacks import traceback_of
from crawler.worker.callback_timer import CallbackTimer
from crawler.worker.collector import ResultCollector
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.failures import error_of, report_of, retry_error, status_error
from crawler.worker.process import FetchingEndedError
from crawler.worker.remote_session import RemoteSession
from crawler.worker.request_filter import RequestFilter, encoded
from crawler.worker.unsafe.links import UnsafeLinkFilter

log = logging.getLogger(__name__)

SessionFactory = Callable[[Page], RemoteSession | None]
"""Returns the ``response.session`` of a page."""


class Worker:
    """Handles pages, one at a time."""

    def __init__(
        self,
        spider: Spider,
        settings: Settings,
        scope: Scope,
        *,
        mask: Mask | None = None,
        accounts: Collection[str] = (),
        session_of: SessionFactory = lambda _page: None,
    ) -> None:
        """``accounts`` are the names of the job's accounts; ``mask`` keeps secrets out of failures.

        ``session_of`` makes the session of a response.
        """
        self._spider = spider
        self._settings = settings
        self._scope = scope
        self._mask = mask or Mask()
        self._wall = WallClock().wall
        self._session_of = session_of
        safety = (
            UnsafeLinkFilter.of(spider.logout_urls, spider.safe_urls, settings)
            if spider.logs_in()
            else None
        )
        request_filter = RequestFilter(
            spider, scope, CrawlLimits.of(settings), accounts, safety=safety
        )
        self._marks = DeclaredMarks(spider.member_mark, spider.logged_out_text)
        self._held: dict[int, tuple[Page, Request, Response | BaseException]] = {}
        self._collector = ResultCollector(request_filter, ItemWriter(type(spider).item_type))
        self._retry = RetryPolicy(settings, spider.retry)
        self.callbacks = CallbackTimer(settings.callback_timeout)

    def extend_scope(self, netlocs: list[str]) -> None:
        """Allow hosts that have come into scope."""
        for netloc in netlocs:
            self._scope.add_netloc(netloc)

    def mask_secrets(self, texts: list[str]) -> None:
        """Keep these texts out of logs and failures, too."""
        for text in texts:
            self._mask.add(text)

    # The main path

    def handle(self, page: Page) -> PageResult:
        """Return the result of ``page``. Never raises: an error is a result too."""
        request = self._request(page)
        response: Response | BaseException
        try:
            if page.problem is not None:
                raise error_of(page.problem)
            response = self._response(page, request)
        except Exception as error:
            response = error
        return self._handle(page, request, response)

    def examine(self, page: Page) -> Examined:
        """Look at a page for its marks, and keep it until ``take_verdict``."""
        request = self._request(page)
        seen = None
        response: Response | BaseException
        try:
            response = self._response(page, request)
            seen = self._seen(response, page.query or MarksQuery())
        except FetchingEndedError:
            raise
        except BaseException as error:  # a check of the spider's may end by sys.exit()
            response = error
        self._held[page.id] = page, request, response
        return Examined(page.id, seen)

    def _seen(self, response: Response, query: MarksQuery) -> SeenMarks:
        with self.callbacks.of(response.url):
            seen = examine(response, query, self._marks)
            if query.asks_spider:
                seen.is_logged_out = bool(self._spider.is_logged_out(response))
        return seen

    def take_verdict(self, verdict: Verdict) -> PageResult | None:
        """Handle a page that was kept, or drop it and return None."""
        page, request, response = self._held.pop(verdict.id)
        if not verdict.is_page:
            return None
        page.is_unproven = verdict.is_unproven
        return self._handle(page, request, response)

    def _request(self, page: Page) -> Request:
        request = unpacked(page.request)
        request.asked = request.asked or page.asked
        return request

    def _handle(
        self, page: Page, request: Request, response: Response | BaseException
    ) -> PageResult:
        answer = PageResult(page.id)
        try:
            result = self._result(request, response, answer)
            _set_account(result, page.account)
            answer.result = msgspec.Raw(encode(result))
        except FetchingEndedError:
            raise
        except BaseException as error:  # of what a spider has set or raised, at its report
            self._collector.forget()
            log.error("the result of a page cannot be sent\n%s", traceback_of(error, self._mask))
            result = Failed(report_of(self._request(page), error, self._mask))
            answer.result = msgspec.Raw(encode(result))
        if page.is_unproven:
            self._collector.forget()  # if the session had ended, this output is dropped
        answer.may_be_doubted = not isinstance(result, (Retry, Starved, LoginFailed))
        return answer

    def _result(
        self, request: Request, response: Response | BaseException, answer: PageResult
    ) -> Result:
        try:
            if isinstance(response, BaseException):
                raise response
            answer.size = len(response.body)
            if response.status >= 400 and response.status not in self._settings.accept_status:
                raise status_error(request, response)
            return self._parse(request, response)
        except FetchingEndedError:
            raise
        except BaseException as error:  # a callback may end by sys.exit(), or be cancelled
            return self._fail(request, error, answer)

    def _response(self, page: Page, request: Request) -> Response:
        """Return the response that callbacks get. Raises FetchError if the body is broken."""
        body = page.body
        if page.coding:
            url = urls.redacted(request.url)
            body = decoded_body(body, page.coding, url, self._settings.max_body)
        return Response(
            page.url,
            body,
            status=page.status,
            headers=CaseInsensitiveDict(page.headers),
            request=copy(request),  # a callback may change its own
            history=[*request.history, *(Hop(*hop) for hop in page.hops)],
            session=self._session_of(page),
        )

    def _parse(self, request: Request, response: Response) -> Done:
        output = self._output(request, response, getattr(self._spider, request.callback))
        if not (request.history and is_same_when_direct(request)):
            return Done(output)
        if first_url(request) == request.url:  # back where the redirects began
            return Done(output)
        self._collector.forget()  # if the final page is known, this output is dropped
        return Done(output, encoded(request))

    def _output(self, request: Request, response: Response, callback: Callable[..., Any]) -> Output:
        try:
            with self._callback(request, response):
                collect_garbage()
                result = callback(response, **(request.cb_kwargs or {}))
                return self._collector.collect(result, request, response)
        except BaseException:
            self._collector.forget()  # the requests that it accepted are dropped
            raise

    @contextmanager
    def _callback(self, request: Request, response: Response | None) -> Iterator[None]:
        """Run a callback, and hand over what it has changed in its session."""
        with self.callbacks.of(request.url):
            try:
                yield
            finally:
                if response is not None and isinstance(response.session, RemoteSession):
                    response.session.flush()

    # Errors

    def _fail(self, request: Request, error: BaseException, answer: PageResult) -> Result:
        """Schedule another try, or report the failure to the spider and keep it."""
        wait = None
        if isinstance(error, FetchError):
            answer.host_wait = self._retry.host_wait(error)
            try:
                wait = self._retry.wait(error, request)
            except Exception as raised:  # by a rule of the spider's
                log.error("retry raised for %s\n%s", error, traceback_of(raised, self._mask))
                error = retry_error(error, raised)
        if isinstance(error, SystemResourceError):  # the site has nothing to do with it
            return Starved(report_of(request, error, self._mask).message, RESOURCE_WAIT)
        if isinstance(error, LoginError) and request.replay:
            return LoginFailed(report_of(request, error, self._mask))
        if wait is not None:
            log.info("%s; next try in %.1f s", error, wait)
            first_tried = request.first_tried or request.asked
            # A hop may be good only once, so the chain begins anew where its host allows it.
            first = from_first_hop(request) if request.replay else request
            again = first if urls.same_origin(first.url, request.url) else request
            later = replace(again, tries=request.tries + 1, first_tried=first_tried)
            return Retry(encode(later), wait)
        return self._give_up(request, error)

    def _give_up(self, request: Request, error: BaseException) -> Failed:
        """Report a failure to ``Spider.failed``, which may make items and requests of it."""
        report = report_of(request, error, self._mask)
        response = error.response if isinstance(error, StatusError) else None
        failure = Failure(copy(request), report.cause, report.message, response)
        try:
            with self._callback(request, response):
                result = self._spider.failed(failure)
                return Failed(report, self._collector.collect(result, request, response))
        except FetchingEndedError:
            raise
        except BaseException as second_error:
            self._collector.forget()
            story = traceback_of(second_error, self._mask)
            log.error("failed() raised for %s\n%s", report.url, story)
            report.traceback += f"\nThen failed() raised:\n{story}"
            return Failed(report, self._collector.without_output())


def _set_account(result: Result, account: str) -> None:
    """Give new requests the account of their page, unless they name one."""
    if isinstance(result, (Done, Failed)):
        for request in result.output.requests:
            request.account = request.account or account
