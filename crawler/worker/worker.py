"""A worker turns one task into one outcome. This is the main path, from top to bottom:

``handle`` → ``_fetch`` → ``_send`` → ``_redirect`` or ``_parse`` → ``ResultCollector.collect``.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from crawler import urls
from crawler.clock import WallClock
from crawler.errors import FetchError, LoginError, StatusError, SystemResourceError
from crawler.gc_tuning import collect_garbage
from crawler.http.adapter import PoolAdapter
from crawler.http.address_policy import AddressPolicy
from crawler.http.deadline import FetchContext, Watchdog, on_thread
from crawler.http.redirects import is_redirect, is_same_when_direct, redirected
from crawler.messages import (
    Denied,
    Done,
    Doubt,
    Failed,
    FetchStats,
    LoginFailed,
    Outcome,
    Output,
    Probed,
    Proof,
    Redirected,
    Result,
    Retry,
    RobotsFetched,
    RobotsUnavailable,
    Starved,
    Task,
    TaskBatch,
    encode,
)
from crawler.output.items import ItemWriter
from crawler.parsing.forms import filled_in_again
from crawler.parsing.response import Response
from crawler.parsing.robots import Robots
from crawler.records import RobotsFile
from crawler.request import Request, unpacked
from crawler.scheduling.retry import RESOURCE_WAIT, RetryPolicy
from crawler.scope import Scope
from crawler.session.accounts import Account
from crawler.session.evidence import Marks
from crawler.session.login import Login
from crawler.session.login_progress import first_url
from crawler.session.login_turn import AskAgain, LoginTurn, from_first_hop, with_stale_form
from crawler.session.masking import Mask
from crawler.session.prober import Prober
from crawler.session.session import Session
from crawler.settings import Settings
from crawler.spider import Failure, Spider, has_own_logout_check
from crawler.tracebacks import traceback_of
from crawler.worker.callback_lock import CallbackLock
from crawler.worker.collector import ResultCollector
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.failures import may_have_been_sent, report_of, retry_error, status_error
from crawler.worker.fetcher import Fetcher
from crawler.worker.hosts import HostInfo
from crawler.worker.request_filter import RequestFilter, encoded
from crawler.worker.session_pool import SessionPool
from crawler.worker.unsafe.links import UnsafeLinkFilter

log = logging.getLogger(__name__)

POOLS = 256
"""Hosts to which a worker keeps connections open."""

EXPIRED = 419
"""The status by which sites refuse a form whose token has expired."""
NOT_CURED = 1.0
"""Seconds to wait with a page that a new login has not brought back."""


class Worker:
    """Handles tasks, in any number of threads; callbacks run one at a time."""

    def __init__(
        self,
        spider: Spider,
        settings: Settings,
        scope: Scope,
        *,
        threads: int,
        settled: bool = False,
        pages: Path | None = None,
        mask: Mask | None = None,
        accounts: Iterable[Account] = (),
    ) -> None:
        """``settled`` says that the scope was declared, so that no seed's redirect widens it.

        ``pages`` is the folder for pages that the user should look at, ``mask`` keeps secrets out
        of it and out of failures.
        """
        self._spider = spider
        self._settings = settings
        self._scope = scope
        self._settled = settled
        self._mask = mask or Mask()
        self._wall = WallClock().wall
        self._watchdog = Watchdog()
        self._fetcher = Fetcher(settings, self._watchdog)
        self._accounts = {account.name: account for account in accounts}
        self._safety = (
            UnsafeLinkFilter.of(spider.logout_urls, spider.safe_urls, settings)
            if spider.logs_in()
            else None
        )
        self._limits = CrawlLimits.of(settings)
        request_filter = RequestFilter(
            spider, scope, self._limits, self._accounts, safety=self._safety
        )
        self._collector = ResultCollector(request_filter, ItemWriter(type(spider).item_type))
        self._retry = RetryPolicy(settings, spider.retry)
        self._addresses = AddressPolicy(anywhere=settings.allow_private)
        self._adapter = PoolAdapter(POOLS, threads, addresses=self._addresses)
        self._hosts: dict[int, HostInfo] = {}
        self._sessions = SessionPool(spider, self._new_session, self._adapter, self._accounts)
        self.callbacks = CallbackLock(settings.callback_timeout)
        self._login: Login | None = None
        if spider.logs_in():
            prober = Prober(
                spider,
                self.callbacks,
                has_own_check=has_own_logout_check(spider),
                stranger=self._sessions.stranger,
            )
            self._login = Login(
                spider, prober, settings.retries, pages, wall=self._wall, wait=self._login_wait
            )

    def learn(self, feed: TaskBatch) -> None:
        """Take over what the scheduling process says of hosts, sessions and scope."""
        for netloc in feed.scope:
            self._scope.add_netloc(netloc)
        for id in feed.forget:
            self._forget(id)
        for host in feed.hosts:
            if host.id not in self._hosts:
                self._sessions.acquire(host.session)
                if host.seeded:
                    self._addresses.permit(host.origin)
                    self._sessions.get(host.session).credentials.name(host.origin)
            self._hosts[host.id] = HostInfo(host, self._settings.user_agent)
        for update in feed.sessions:
            self._sessions.get(update.key).load(update, now=self._wall())

    def _forget(self, id: int) -> None:
        host = self._hosts.pop(id)
        if host.seeded:
            self._addresses.forbid(host.origin)
            self._sessions.get(host.session).credentials.forget(host.origin)
        self._sessions.release(host.session)

    def _new_session(self, key: str) -> Session:
        return Session(
            key,
            self._settings,
            self._adapter,
            self._mask,
            self._watchdog,
            wall=self._wall,
            marks=Marks(self._spider.member_mark, self._spider.logged_out_text),
        )

    def _login_wait(self, error: FetchError, tries: int) -> float | None:
        """Return the seconds until a login is tried again, as a page would be."""
        return self._retry.wait(error, Request("http://login.invalid/", tries=tries))

    def close(self) -> None:
        """Close connections and the watchdogs."""
        self._watchdog.close()
        self.callbacks.close()
        self._sessions.close()

    # The main path

    def handle(self, task: Task) -> Outcome:
        """Return the outcome of ``task``. Never raises: an error is an outcome too."""
        host, request, fetch = self._hosts[task.host], unpacked(task.request), FetchStats()
        session = self._sessions.get(host.session)
        turn = None
        result: Result
        try:
            if task.sent:
                raise may_have_been_sent(request, "the crawl or a worker was killed")
            if why := self._sessions.unprepared.get(host.session):
                raise LoginError(why)
            if not (task.robots or task.probe) and self._denies(request):
                result = Denied()
            elif task.robots:
                result = self._fetch_robots(request, session, fetch)
            elif task.probe:
                result = self._fetch_probe(request, session, fetch)
            else:
                host.check(request.url)
                if self._login is not None:
                    turn = LoginTurn(self._login, self._scope, session, request)
                response = self._fetch(request, session, fetch, turn)
                if response.status == EXPIRED and _may_fill_in_again(request):
                    raise AskAgain(with_stale_form(request))
                if is_redirect(response.status, response.headers):
                    result = self._redirect(request, response, session)
                elif response.status >= 400 and response.status not in self._settings.accept_status:
                    raise status_error(request, response)
                else:
                    result = self._parse(request, response, fetch)
        except AskAgain as again:
            result = _ask_again(request, again.request, again.wait)
        except Exception as error:
            result = self._fail(task, request, fetch, error)
        doubt = None if turn is None else self._doubt(request, turn, result)
        _set_account(result, host.account)
        return Outcome(task.id, result, fetch, doubt=doubt)

    def attach_session_changes(self, task: Task, outcome: Outcome) -> None:
        """Add the changes to the task's session, by this task or by another thread's."""
        session = self._sessions.get(self._hosts[task.host].session)
        change = session.pop_changes()
        if change is not None:
            outcome.sessions = [change]
        if self._login is not None:
            progress = session.progress
            probe = progress.evidence.probe(self._hosts[task.host].origin)
            outcome.proof = Proof(progress.logged_in_at, probe.proven_at)

    def _fetch(
        self, request: Request, session: Session, fetch: FetchStats, turn: LoginTurn | None
    ) -> Response:
        """Send the request while its session is logged in. Raises AskAgain if it was not."""
        if turn is None:
            return self._send(self._filled_in(request, session), session, fetch)
        with turn.logged_in():
            response = self._send(self._filled_in(request, session), session, fetch)
            turn.judge(response)
        return response

    def _filled_in(self, request: Request, session: Session) -> Request:
        """Return the request of a form whose token has expired with what its page has now."""
        form = request.form
        if form is None or not form.is_stale or request.history:
            return request
        session.throttle.wait()
        page = session.open(form.page)
        session.throttle.wait()
        return filled_in_again(request, page.root if page.is_html else None) or request

    def _doubt(self, request: Request, turn: LoginTurn, result: Result) -> Doubt | None:
        """Say what the result depends on if the response may be for an anonymous session."""
        if not turn.is_unproven or isinstance(result, (Retry, Starved, LoginFailed)):
            return None
        with self.callbacks:
            self._collector.forget()  # if the session had ended, this output is dropped
        again = _ask_again(request, turn.again())
        return Doubt(turn.logged_in_at, turn.judged_at, again)

    def _fetch_probe(self, request: Request, session: Session, fetch: FetchStats) -> Probed:
        """Look at the session's probe page, and log out if it is a stranger's."""
        assert self._login is not None
        fetch.started = time.monotonic()
        self._login.probe(session, request)
        return Probed()

    def _send(self, request: Request, session: Session, fetch: FetchStats) -> Response:
        is_hop = bool(request.history) and request.asked < math.inf
        request.asked = request.asked if is_hop else self._wall()
        with _timing(fetch) as context:
            response = self._fetcher.fetch(request, session, context)
        fetch.status, fetch.size = response.status, len(response.body)
        return response

    def _redirect(
        self, request: Request, response: Response, session: Session
    ) -> Redirected | Done:
        """Let the next hop wait for the turn of its own host, in the place of this request."""
        target = redirected(
            request, response.status, response.headers["location"], self._settings.max_redirects
        )
        if self._denies(target):
            return Done(Output(skipped_by_limit={"deny": 1}))
        self._limits.check_redirect(request.url, target.url)
        if (request.depth or self._settled) and not self._scope.allows(target.url):
            log.info(
                "%s redirects out of scope, to %s", *map(urls.redacted, (request.url, target.url))
            )
            return Done()
        if self._safety is not None:
            self._safety.check_redirect(request, target)
        new_request = encoded(target)
        # A page of the login may be known, but what leads there may have to be asked once more.
        is_login = session.progress.evidence.is_login_page(target.url)
        is_back = target.url == first_url(target)
        new_request.dont_filter = is_login or is_back or not is_same_when_direct(target)
        return Redirected(new_request)

    def _denies(self, request: Request) -> bool:
        """Return True if the setting ``deny`` leaves the request out, which may be an older one."""
        deny = self._limits.deny
        return deny is not None and bool(request.depth) and deny.denies(request.url)

    def _parse(self, request: Request, response: Response, fetch: FetchStats) -> Done:
        callback = getattr(self._spider, request.callback)
        with self._callback(request, fetch):
            collect_garbage()
            result = callback(response, **(request.cb_kwargs or {}))
            output = self._collector.collect(result, request, response)
            if not (request.history and is_same_when_direct(request)):
                return Done(output)
            if first_url(request) == request.url:  # back where the redirects began
                return Done(output)
            self._collector.forget()  # if the final page is known, this output is dropped
            return Done(output, encoded(request))

    @contextmanager
    def _callback(self, request: Request, fetch: FetchStats) -> Iterator[None]:
        """Run a callback. A delay counts from the last request that it makes by its session."""
        context = FetchContext()
        with self.callbacks.of(request.url), on_thread(context):
            try:
                yield
            finally:
                fetch.started = fetch.started and max(fetch.started, context.sent_at)

    # robots.txt

    def _fetch_robots(self, request: Request, session: Session, fetch: FetchStats) -> RobotsFetched:
        with session.turns.no_login(), _timing(fetch) as context:
            fetch.status, body = self._fetcher.fetch_robots(request, session, context)
        rules = Robots.of_response(fetch.status, body)
        delay = rules.crawl_delay(self._settings.user_agent)
        cause = "" if rules.reachable else "robots.txt"
        message = cause and "its redirects do not end"
        return RobotsFetched(RobotsFile(rules.body, delay, cause, message))

    # Errors

    def _fail(self, task: Task, request: Request, fetch: FetchStats, error: Exception) -> Result:
        """Schedule another try, or report the failure to the spider and keep it."""
        wait = None
        if isinstance(error, FetchError):
            fetch.host_wait = self._retry.host_wait(error)
            policy = self._retry.robots_wait if task.robots else self._retry.wait
            try:
                wait = policy(error, request)
            except Exception as raised:  # by a rule of the spider's
                log.error("retry raised for %s\n%s", error, traceback_of(raised, self._mask))
                error = retry_error(error, raised)
        if isinstance(error, SystemResourceError):  # the site has nothing to do with it
            self._adapter.poolmanager.clear()  # idle connections are what can be spared
            return Starved(report_of(request, error, self._mask).message, RESOURCE_WAIT)
        if isinstance(error, LoginError) and (request.replay or not fetch.started):
            return LoginFailed(report_of(request, error, self._mask))
        if task.robots:
            report = report_of(request, error, self._mask)
            robots = RobotsFile(b"", None, report.cause, report.message)
            return RobotsUnavailable(robots, wait) if wait else RobotsFetched(robots)
        if wait is not None:
            log.info("%s; next try in %.1f s", error, wait)
            first_tried = request.first_tried or request.asked
            # A hop may be good only once, so the chain begins anew where its host allows it.
            first = from_first_hop(request) if request.replay else request
            again = first if urls.same_origin(first.url, request.url) else request
            later = replace(again, tries=request.tries + 1, first_tried=first_tried)
            return Retry(encode(later), wait)
        return self._give_up(request, fetch, error)

    def _give_up(self, request: Request, fetch: FetchStats, error: Exception) -> Failed:
        """Report a failure to ``Spider.failed``, which may make items and requests of it."""
        report = report_of(request, error, self._mask)
        response = error.response if isinstance(error, StatusError) else None
        try:
            with self._callback(request, fetch):
                result = self._spider.failed(
                    Failure(request, report.cause, report.message, response)
                )
                return Failed(report, self._collector.collect(result, request, response))
        except Exception as second_error:
            story = traceback_of(second_error, self._mask)
            log.error("failed() raised for %s\n%s", report.url, story)
            report.traceback += f"\nThen failed() raised:\n{story}"
            return Failed(report, self._collector.without_output())


@contextmanager
def _timing(fetch: FetchStats) -> Iterator[FetchContext]:
    """Note when the request of a fetch has been sent.

    A busy thread, or a new connection, may delay it after the fetch has begun.
    """
    context = FetchContext()
    fetch.started = time.monotonic()
    try:
        yield context
    finally:
        fetch.started = max(fetch.started, context.sent_at)


def _ask_again(request: Request, again: Request, wait: float = 0.0) -> Retry | Redirected:
    """Put ``again`` in the place of ``request``, in the queue of its own host."""
    if urls.same_origin(request.url, again.url):
        return Retry(encode(again), max(wait, NOT_CURED * (again.tries > 1)))
    target = encoded(again)
    target.dont_filter = True
    return Redirected(target)


def _may_fill_in_again(request: Request) -> bool:
    """Return True for a form that was refused for its token, and not filled in again before."""
    form = request.form
    if form is None or form.is_stale or request.history or not request.replay:
        return False
    return urls.same_origin(form.page, request.url)


def _set_account(result: Result, account: str) -> None:
    """Give new requests the account of their page, unless they name one."""
    if isinstance(result, (Done, Failed)):
        requests = result.output.requests
    elif isinstance(result, Redirected):
        requests = [result.target]
    else:
        return
    for request in requests:
        request.account = request.account or account
