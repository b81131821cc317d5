"""Fetch the robots.txt of a host, with its redirects (RFC 9309, section 2.3.1)."""

from __future__ import annotations

import time
from collections.abc import Callable

from crawler import urls
from crawler.errors import FetchError
from crawler.fetching.fetch import Fetch
from crawler.fetching.sender import Answer, Sender
from crawler.http.adapter import decoded_body
from crawler.http.deadline import FetchContext
from crawler.http.redirects import redirected
from crawler.messages import RobotsFetched, RobotsUnavailable
from crawler.parsing.response import Response
from crawler.parsing.robots import MAX_REDIRECTS, MAX_SIZE, Robots
from crawler.records import FailureReport, RobotsFile
from crawler.request import Request
from crawler.scheduling.retry import RetryPolicy
from crawler.worker.failures import status_error

Finish = Callable[[Fetch, RobotsFetched | RobotsUnavailable], None]
Blocking = Callable[[Callable[[], Answer], Callable[[Answer | BaseException], None]], None]
"""Calls the first function in a thread, and the second with its result in the loop's thread."""


class RobotsFetcher:
    """Fetches files of robots.txt; ``finish`` takes their rules, ``fail`` the errors."""

    def __init__(
        self,
        sender: Sender,
        user_agent: str,
        run_blocking: Blocking,
        finish: Finish,
        fail: Callable[[Fetch, BaseException], None],
    ) -> None:
        self._sender = sender
        self._user_agent = user_agent
        self._run_blocking = run_blocking
        self._finish = finish
        self._fail = fail

    def begin(self, fetch: Fetch, *, beside_login: bool) -> None:
        """Begin to fetch. ``beside_login`` lets no login begin meanwhile: the response would
        replace its cookies."""
        fetch.stats.started = time.monotonic()
        self._send(fetch, fetch.request, beside_login=beside_login)

    def _send(self, fetch: Fetch, request: Request, *, beside_login: bool) -> None:
        context = FetchContext()

        def received(answer: Answer | BaseException, sent_at: float) -> None:
            fetch.stats.started = max(fetch.stats.started, sent_at)
            try:
                if isinstance(answer, BaseException):
                    raise answer
                self._take(fetch, request, answer, beside_login=beside_login)
            except BaseException as error:
                self._fail(fetch, error)

        def send() -> Answer:
            with fetch.session.no_login():
                return self._sender.send(
                    request, fetch.session, context, limit=MAX_SIZE, cut=True, may_be_text=True
                )

        if beside_login or not self._sender.begin(
            request, fetch.session, received, limit=MAX_SIZE, cut=True
        ):
            self._run_blocking(send, lambda answer: received(answer, context.sent_at))

    def _take(self, fetch: Fetch, request: Request, answer: Answer, *, beside_login: bool) -> None:
        """Follow a redirect, or finish. Raises FetchError, also for a status that may pass."""
        fetch.stats.status = answer.status
        if answer.status >= 500 or _asks_again(answer):
            response = Response(answer.url, status=answer.status, headers=dict(answer.headers))
            raise status_error(request, response)
        if answer.location is not None:
            target = redirected(request, answer.status, answer.location, MAX_REDIRECTS)
            self._send(fetch, target, beside_login=beside_login)
            return
        url = urls.redacted(request.url)
        body = decoded_body(answer.body, answer.coding, url, MAX_SIZE, cut=True, may_be_text=True)
        fetch.stats.size = len(body)
        rules = Robots.of_response(answer.status, body)
        delay = rules.crawl_delay(self._user_agent)
        cause = "" if rules.reachable else "robots.txt"
        message = cause and f"{url}: the server answered {answer.status}"
        self._finish(fetch, RobotsFetched(RobotsFile(rules.body, delay, cause, message)))


def _asks_again(answer: Answer) -> bool:
    """Return True for a 429 that says when to come again; any other 4xx means no rules."""
    names = {name.lower() for name, _ in answer.headers}
    return answer.status == 429 and "retry-after" in names


def unavailable(
    fetch: Fetch, error: BaseException, report: FailureReport, retry: RetryPolicy
) -> RobotsFetched | RobotsUnavailable:
    """Return the result of a robots.txt that did not come: it is asked for again, or final."""
    wait = None
    if isinstance(error, FetchError):
        fetch.stats.host_wait = retry.host_wait(error)
        wait = retry.robots_wait(error, fetch.request)
    robots = RobotsFile(b"", None, report.cause, report.message)
    return RobotsUnavailable(robots, wait) if wait else RobotsFetched(robots)
