"""The fetcher turns a task into a page for a worker, or at once into a result.

``begin`` → ``_send`` or, in a job that logs in, ``_fetch_in_turn`` → ``_received`` → ``_redirect``
or ``FetchClient.parse``. Most requests need no thread: the loop of libcurl calls ``_received``.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from crawler import urls
from crawler.clock import WallClock
from crawler.errors import (
    FetchError,
    LoginError,
    NoNetworkError,
    SpiderError,
    SystemResourceError,
)
from crawler.fetching.fetch import (
    Fetch,
    FetchClient,
    ask_again,
    unreadable,
    with_account,
)
from crawler.fetching.hosts import HostInfo
from crawler.fetching.robots_fetcher import RobotsFetcher, unavailable
from crawler.fetching.sender import EXPIRED, Answer, Sender, may_fill_in_again
from crawler.fetching.session_pool import SessionPool
from crawler.fetching.threads import ThreadPool
from crawler.http.adapter import CurlAdapter
from crawler.http.address_policy import AddressPolicy
from crawler.http.curl.loop import Loop
from crawler.http.deadline import FetchContext
from crawler.http.redirects import is_same_when_direct, redirected
from crawler.messages import (
    Denied,
    Done,
    Doubt,
    LoginFailed,
    MarksQuery,
    NoNetwork,
    Output,
    Page,
    Probed,
    Proof,
    Redirected,
    SeenMarks,
    SessionChange,
    Starved,
    Task,
    TaskBatch,
    Verdict,
)
from crawler.parsing.login_marks import DeclaredMarks
from crawler.parsing.response import Response
from crawler.request import Hop, Request
from crawler.scheduling.retry import RESOURCE_WAIT, RetryPolicy
from crawler.scope import Scope
from crawler.session.accounts import Account
from crawler.session.login import Login
from crawler.session.login_progress import first_url
from crawler.session.login_turn import AskAgain, LoginTurn, with_stale_form
from crawler.session.masking import Mask
from crawler.session.prober import Prober
from crawler.session.session import Session
from crawler.settings import Settings
from crawler.spider import Spider, has_own_logout_check
from crawler.worker.crawl_limits import CrawlLimits
from crawler.worker.failures import may_have_been_sent, problem_of, report_of
from crawler.worker.request_filter import encoded
from crawler.worker.unsafe.links import UnsafeLinkFilter

log = logging.getLogger(__name__)

MOST_THREADS = 256
"""Requests at the same time that each need a thread, as those of a session that logs in do."""


class _NotExaminedError(Exception):
    """The spider's own check raised, as the worker will report, or the worker died."""


class Fetcher:
    """Fetches tasks, through the sessions that it keeps."""

    def __init__(
        self,
        spider: Spider,
        settings: Settings,
        scope: Scope,
        client: FetchClient,
        *,
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
        self._client = client
        self._settled = settled
        self._mask = mask or Mask()
        self._wall = WallClock().wall
        self._sender = Sender(settings)
        self._accounts = {account.name: account for account in accounts}
        self._limits = CrawlLimits.of(settings)
        self._safety = (
            UnsafeLinkFilter.of(spider.logout_urls, spider.safe_urls, settings)
            if spider.logs_in()
            else None
        )
        self._retry = RetryPolicy(settings, spider.retry)
        self._addresses = AddressPolicy(anywhere=settings.allow_private)
        self._adapter = CurlAdapter(self._addresses, is_shared=True)
        self.loop: Loop = self._adapter.pool.loop
        """It sends; everything but the fetches of sessions that log in runs there."""
        self._masked: set[str] = set()
        self._hosts: dict[int, HostInfo] = {}
        self._sessions = SessionPool(spider, self._new_session, self._adapter, self._accounts)
        self._threads = ThreadPool(MOST_THREADS)
        # A page may wait for a worker whose callback waits for a call: calls have their own.
        self._calls = ThreadPool(MOST_THREADS)
        self._robots = RobotsFetcher(
            self._sender, settings.user_agent, self._run_blocking, client.finish, self._fail
        )
        self._login = self._new_login(pages) if spider.logs_in() else None

    def _run_blocking(
        self, call: Callable[[], Answer], then: Callable[[Answer | BaseException], None]
    ) -> None:
        """Call a function in a thread, and the other with its result in the loop's thread."""

        def run() -> None:
            answer: Answer | BaseException
            try:
                answer = call()
            except BaseException as error:  # of a hook or an adapter; no thread ends unheard
                answer = error
            self.loop.call(lambda: then(answer))

        self._threads.submit(run)

    def _new_login(self, pages: Path | None) -> Login:
        prober = Prober(
            self._spider,
            threading.Lock(),
            has_own_check=has_own_logout_check(self._spider),
            stranger=self._sessions.stranger,
        )
        return Login(
            self._spider,
            prober,
            self._settings.retries,
            pages,
            wall=self._wall,
            wait=self._login_wait,
        )

    def _new_session(self, key: str) -> Session:
        return Session(
            key,
            self._settings,
            self._adapter,
            self._mask,
            wall=self._wall,
            marks=DeclaredMarks(self._spider.member_mark, self._spider.logged_out_text),
            logs_in=self._spider.logs_in(),
        )

    def _login_wait(self, error: FetchError, tries: int) -> float | None:
        """Return the seconds until a login is tried again, as a page would be."""
        return self._retry.wait(error, Request("http://login.invalid/", tries=tries))

    def session(self, key: str) -> Session:
        """Return the session with this key."""
        return self._sessions.get(key)

    def run_call(self, function: Callable[[], None]) -> None:
        """Run ``function``, which makes a callback's call and may block, in another thread."""
        self._calls.submit(function)

    def learn(self, batch: TaskBatch) -> None:
        """Take over what the scheduling process says of hosts, sessions and scope."""
        for netloc in batch.scope:
            self._scope.add_netloc(netloc)
        for host_id in batch.forget:
            self._forget(host_id)
        for host in batch.hosts:
            if host.id not in self._hosts:
                self._sessions.acquire(host.session)
                if host.seeded:
                    self._addresses.permit(host.origin)
                    self._sessions.get(host.session).credentials.name(host.origin)
            self._hosts[host.id] = HostInfo(host, self._settings.user_agent)
        self.loop.keep_for(len(self._hosts))
        for update in batch.sessions:
            self._sessions.get(update.key).load(update, now=self._wall())

    def _forget(self, host_id: int) -> None:
        host = self._hosts.pop(host_id)
        if host.seeded:
            self._addresses.forbid(host.origin)
            self._sessions.get(host.session).credentials.forget(host.origin)
        self._sessions.release(host.session)

    def new_secrets(self) -> list[str]:
        """Return the secrets that were typed since the last call."""
        typed = self._mask.typed
        if len(typed) == len(self._masked):
            return []
        secrets = set(typed) - self._masked
        self._masked |= secrets
        return sorted(secrets)

    def close(self) -> None:
        """End all fetches, and close connections."""
        self._threads.close()
        self._calls.close()
        self._adapter.pool.stop()
        self._sessions.close()

    # The main path

    def begin(self, task: Task) -> None:
        """Begin to fetch ``task``. Never raises: an error is handed on like a page."""
        host = self._hosts[task.host]
        session = self._sessions.get(host.session)
        try:
            fetch = Fetch.of(task, host, session)
        except SpiderError as error:
            fetch = Fetch(task, host, session, Request(f"{host.origin}/"))
            self._client.finish(fetch, unreadable(host.origin, error))
            return
        try:
            self._check(fetch)
            if not (task.robots or task.probe) and self._denies(fetch.request):
                self._client.finish(fetch, Denied())
            elif task.robots:
                self._robots.begin(fetch, beside_login=self._login is not None)
            elif self._login is not None:
                work = self._probe if task.probe else self._fetch_in_turn
                self._threads.submit(lambda: work(fetch))
            else:
                fetch.host.check(fetch.request.url)
                self._send(fetch)
        except Exception as error:
            self._fail(fetch, error)

    def _check(self, fetch: Fetch) -> None:
        """Raise an error for a task that must not be sent."""
        if fetch.task.sent:
            raise may_have_been_sent(fetch.request, "the crawl or a worker was killed")
        if why := self._sessions.unprepared.get(fetch.host.session):
            raise LoginError(why)

    def _denies(self, request: Request) -> bool:
        """Return True if the setting ``deny`` leaves the request out, which may be an older one."""
        deny = self._limits.deny
        return deny is not None and bool(request.depth) and deny.denies(request.url)

    def _send(self, fetch: Fetch) -> None:
        """Send a request of a session that does not log in."""
        self._note_start(fetch)

        def received(answer: Answer | BaseException, sent_at: float) -> None:
            fetch.stats.started = max(fetch.stats.started, sent_at)
            self._received(fetch, answer)

        limit = self._settings.max_body
        if not self._sender.begin(fetch.request, fetch.session, received, limit=limit):
            self._run_blocking(
                lambda: self._send_in_thread(fetch), lambda answer: self._received(fetch, answer)
            )

    def _note_start(self, fetch: Fetch) -> None:
        request = fetch.request
        is_hop = bool(request.history) and request.asked < math.inf
        request.asked = request.asked if is_hop else self._wall()
        fetch.stats.started = time.monotonic()

    def _send_in_thread(self, fetch: Fetch) -> Answer:
        self._note_start(fetch)
        context = FetchContext()
        try:
            answer = self._sender.send(fetch.request, fetch.session, context)
        finally:
            fetch.stats.started = max(fetch.stats.started, context.sent_at)
        fetch.stats.status, fetch.stats.size = answer.status, len(answer.body)
        return answer

    def _fetch_in_turn(self, fetch: Fetch) -> None:
        """Send a request while its session is logged in, and judge the response."""
        assert self._login is not None
        answer: Answer | BaseException
        try:
            fetch.host.check(fetch.request.url)
            fetch.turn = turn = LoginTurn(
                self._login,
                self._scope,
                fetch.session,
                fetch.request,
                examine=lambda _response, query: self._examine(fetch, query),
                alone=fetch.task.isolated,
            )
            fetch.is_judged = False
            with turn.logged_in():
                answer = fetch.answer = self._send_in_thread(fetch)
                with contextlib.suppress(_NotExaminedError):
                    turn.judge(self._response(fetch, answer))
                if answer.status == EXPIRED and may_fill_in_again(fetch.request):
                    raise AskAgain(with_stale_form(fetch.request))
        except BaseException as error:  # a login, or a check of the spider's, may end by sys.exit()
            answer = error
        self.loop.call(lambda: self._judged(fetch, answer))

    def _examine(self, fetch: Fetch, query: MarksQuery) -> SeenMarks:
        """Let a worker look at a page, and wait for what it sees."""
        assert fetch.answer is not None
        page = self._page(fetch, fetch.answer)
        page.query = query
        fetch.is_held = True
        self.loop.call(lambda: self._client.examine(fetch, page))
        seen = fetch.marks.get()
        if seen is None:
            raise _NotExaminedError
        return seen

    def _judged(self, fetch: Fetch, answer: Answer | BaseException) -> None:
        """Take a response that was judged, in the loop's thread."""
        fetch.is_judged = True
        if fetch.lost is not None:
            self._client.finish(fetch, fetch.lost)
            return
        is_page = isinstance(answer, Answer)
        if fetch.is_held:
            is_unproven = fetch.turn is not None and fetch.turn.is_unproven
            self._client.judge(fetch, Verdict(fetch.task.id, is_page, is_unproven))
        if not (is_page and fetch.is_held):
            self._received(fetch, answer)

    def _response(self, fetch: Fetch, answer: Answer) -> Response:
        hops = [Hop(*hop) for hop in answer.hops]
        return Response(
            answer.url,
            answer.body,
            status=answer.status,
            headers=dict(answer.headers),
            request=fetch.request,
            history=[*fetch.request.history, *hops],
            session=fetch.session,
        )

    def _received(self, fetch: Fetch, answer: Answer | BaseException) -> None:
        """Take a response, or an error, in the loop's thread."""
        if isinstance(answer, BaseException):
            self._fail(fetch, answer)
            return
        fetch.stats.status = answer.status
        if answer.status == EXPIRED and fetch.turn is None and may_fill_in_again(fetch.request):
            self._fail(fetch, AskAgain(with_stale_form(fetch.request)))
            return
        if answer.location is None:
            self._client.parse(fetch, self._page(fetch, answer))
            return
        fetch.stats.size = len(answer.body)
        try:
            result = self._redirect(fetch.request, answer, answer.location, fetch.session)
        except Exception as error:
            self._fail(fetch, error)
        else:
            self._client.finish(fetch, with_account(result, fetch))

    def _page(self, fetch: Fetch, answer: Answer) -> Page:
        return Page(
            fetch.task.id,
            fetch.task.request,
            fetch.host.session,
            fetch.host.account,
            fetch.request.asked,
            answer.url,
            answer.status,
            answer.headers,
            answer.coding,
            answer.body,
            answer.hops,
            is_unproven=fetch.turn is not None and fetch.turn.is_unproven,
        )

    def _redirect(
        self, request: Request, answer: Answer, location: str, session: Session
    ) -> Redirected | Done:
        """Let the next hop wait for the turn of its own host, in the place of this request."""
        target = redirected(request, answer.status, location, self._settings.max_redirects)
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

    # Sessions that log in

    def _probe(self, fetch: Fetch) -> None:
        """Look at the session's probe page, and log out if it is a stranger's."""
        assert self._login is not None
        problem: BaseException | None = None
        fetch.stats.started = time.monotonic()
        try:
            self._login.probe(fetch.session, fetch.request)
        except BaseException as error:
            problem = error

        def done() -> None:
            if problem is None:
                self._client.finish(fetch, Probed())
            else:
                self._fail(fetch, problem)

        self.loop.call(done)

    def doubt(self, fetch: Fetch) -> Doubt | None:
        """Return what the result depends on if the response may be for an anonymous session."""
        turn = fetch.turn
        if turn is None or not turn.is_unproven:
            return None
        again = with_account(ask_again(fetch.request, turn.again()), fetch)
        return Doubt(turn.logged_in_at, turn.judged_at, again)

    def session_changes(self, fetch: Fetch) -> tuple[list[SessionChange], Proof | None]:
        """Return the changes to the session of ``fetch`` since the last call, and its proof."""
        change = fetch.session.pop_changes()
        proof = None
        if self._login is not None:
            progress = fetch.session.progress
            probe = progress.evidence.probe(fetch.host.origin)
            proof = Proof(progress.logged_in_at, probe.proven_at)
        return ([] if change is None else [change]), proof

    # Errors

    def _fail(self, fetch: Fetch, error: BaseException) -> None:
        """Finish a fetch that has no page, or let a worker decide on another try."""
        request, task = fetch.request, fetch.task
        if isinstance(error, AskAgain):
            again = with_account(ask_again(request, error.request, error.wait), fetch)
            self._client.finish(fetch, again)
        elif isinstance(error, SystemResourceError):  # the site has nothing to do with it
            self._adapter.pool.clear()  # idle connections are what can be spared
            report = report_of(request, error, self._mask, "the request")
            self._client.finish(fetch, Starved(report.message, RESOURCE_WAIT))
        elif isinstance(error, NoNetworkError):
            self._client.finish(
                fetch, NoNetwork(report_of(request, error, self._mask, "the request").message)
            )
        elif isinstance(error, LoginError) and (request.replay or not fetch.stats.started):
            self._client.finish(
                fetch, LoginFailed(report_of(request, error, self._mask, "the request"))
            )
        elif task.robots:
            report = report_of(request, error, self._mask, "the request")
            self._client.finish(fetch, unavailable(fetch, error, report, self._retry))
        else:
            page = Page(
                task.id, task.request, fetch.host.session, fetch.host.account, request.asked
            )
            page.problem = problem_of(request, error, self._mask)
            self._client.parse(fetch, page)
