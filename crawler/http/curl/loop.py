"""The loop: one thread that drives thousands of transfers and their connections by libcurl."""

from __future__ import annotations

import collections
import contextlib
import heapq
import itertools
import math
import os
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any

import pycurl

from crawler import urls
from crawler.errors import FetchError
from crawler.http.address_policy import AddressPolicy
from crawler.http.curl import failures
from crawler.http.curl.handle import Handle
from crawler.http.curl.mender import REASONS, connect_and_mend
from crawler.http.curl.poller import Poller
from crawler.http.curl.resolver import LIFETIME, NoNameResolvesError, Resolver
from crawler.http.curl.servers import Servers
from crawler.http.curl.transfer import Route, Transfer

LEAST_IDLE = 8
_MAX_FREE = 256
"""Handles that are kept for the next transfers of a route."""
_SWEEP = 0.02
"""Seconds between two looks at the clocks of all transfers, at least."""
# A connection that was kept may have died before the server saw this request.
_DIED_EARLY = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
_BROKEN_HTTP2 = frozenset({pycurl.E_HTTP2, failures.E_HTTP2_STREAM})
# After these, HTTP/2 may be the reason; libcurl is aborted where it would send a POST again.
_MAYBE_HTTP2 = _DIED_EARLY | {pycurl.E_ABORTED_BY_CALLBACK}


class Loop:
    """The thread of a pool. All methods but ``call`` and ``stop`` run in it."""

    def __init__(self, addresses: AddressPolicy, max_idle: int, most: int) -> None:
        """``most`` limits the connections, idle or not, by the file handles of this process."""
        self.pid = os.getpid()
        self.addresses = addresses
        self.now = monotonic()
        self._max_idle = max_idle
        self._most = most
        self._calls: collections.deque[Callable[[], None]] = collections.deque()
        self._submitted: collections.deque[Transfer] = collections.deque()
        self._servers = Servers(max_idle)
        self._is_asleep = False
        self._is_stopping = self._is_retiring = self._has_ended = False
        self._timer_at = math.inf
        self._sweep_at = math.inf
        self.failure: BaseException | None = None
        """The error that has ended the thread."""
        self._watched: dict[int, Callable[[int], None]] = {}
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._active: dict[Transfer, Handle] = {}
        self._free: dict[Route, list[Handle]] = {}
        self._has_answered = False
        self._resolver = Resolver(addresses, self.call, lambda: self._has_answered)
        self._poller = Poller()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._reader_fd = self._reader.fileno()
        self._poller.set(self._reader.fileno(), pycurl.POLL_IN)
        self._multi = self._new_multi()
        self._thread = threading.Thread(target=self._run, name="curl", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[], None]) -> None:
        """Run ``function`` in the loop's thread, soon."""
        self._calls.append(function)
        self._wake()

    def _wake(self) -> None:
        if self._is_asleep:
            self._is_asleep = False
            with contextlib.suppress(OSError):  # full: it wakes anyway; closed: it has ended
                self._writer.send(b"\0")

    def call_later(self, seconds: float, function: Callable[[], None]) -> None:
        """Run ``function`` after ``seconds``. Called in the loop's thread."""
        heapq.heappush(self._later, (monotonic() + seconds, next(self._numbers), function))

    def watch(self, fd: int, on_ready: Callable[[int], None], *, to_write: bool = False) -> None:
        """Call ``on_ready`` whenever ``fd`` can be read, or ``to_write`` written too.

        It gets libcurl's number for what the socket is ready for: 1 to read, 2 to write, 4 when it
        is broken. Called in the loop's thread.
        """
        self._watched[fd] = on_ready
        self._poller.set(fd, 3 if to_write else 1)

    def unwatch(self, fd: int) -> None:
        """Watch ``fd`` no more, which is about to be closed. Called in the loop's thread."""
        if self._watched.pop(fd, None) is not None:
            self._poller.remove(fd)

    def join(self) -> None:
        """Wait until the loop ends."""
        self._thread.join()

    def submit(self, transfer: Transfer) -> bool:
        """Begin ``transfer``, soon; return False if this loop has ended."""
        transfer.pool = self
        self._submitted.append(transfer)
        self._wake()
        if not self._has_ended:
            return True
        try:
            self._submitted.remove(transfer)
        except ValueError:  # the end of the loop has seen it
            return True
        return False

    def resume(self, transfer: Transfer) -> None:
        """Let a paused transfer go on."""
        self.call(lambda: self._resume(transfer))

    def cancel(self, transfer: Transfer) -> None:
        """End a transfer that is of no use any more."""
        self.call(lambda: self._cancel(transfer))

    def retire(self) -> None:
        """End the thread after the last transfer; do not wait for that."""
        self._is_retiring = True
        self.call(_nothing)
        if not self._active and threading.current_thread() is not self._thread:
            self._thread.join()

    def stop(self) -> None:
        """End the thread, and with it all transfers."""
        self._is_stopping = True
        self.call(_nothing)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _new_multi(self) -> Any:
        multi = pycurl.CurlMulti()
        multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        multi.setopt(pycurl.M_MAXCONNECTS, self._max_idle)
        multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, self._most)
        return multi

    # The loop

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._turn()
                if self._is_retiring and not (self._active or self._submitted):
                    return
        except BaseException as error:  # of a function that was called or that watches a socket
            self.failure = error
            if not self._watched:  # nothing looks at the failure
                raise
        finally:
            self._end()

    def _turn(self) -> None:
        self._is_asleep = True
        if self._calls or self._submitted:
            timeout: float | None = 0.0
        else:
            until = min(self._timer_at, self._sweep_at)
            if self._later:
                until = min(until, self._later[0][0])
            timeout = None if until == math.inf else max(0.0, until - monotonic())
        events = self._poller.wait(timeout)
        self._is_asleep = False
        self.now = monotonic()
        for fd, mask in events:
            if on_ready := self._watched.get(fd):
                on_ready(mask)
            elif fd == self._reader_fd:
                with contextlib.suppress(BlockingIOError):
                    self._reader.recv(4096)
            else:
                self._multi.socket_action(fd, mask)
        for _ in range(len(self._calls)):
            self._calls.popleft()()
        while self._later and self.now >= self._later[0][0]:
            heapq.heappop(self._later)[2]()
        while self._submitted:
            self._start(self._submitted.popleft())
        if self.now >= self._timer_at:
            self._timer_at = math.inf
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        self._collect()
        if self.now >= self._sweep_at:
            self._sweep()

    def _on_socket(self, what: int, fd: int, multi: Any, data: Any) -> None:
        if what == pycurl.POLL_REMOVE:
            self._poller.remove(fd)
        else:
            self._poller.set(fd, what)

    def _on_timer(self, milliseconds: int) -> None:
        self._timer_at = math.inf if milliseconds < 0 else monotonic() + milliseconds / 1000

    def _collect(self) -> None:
        """Hand on what has ended."""
        left = 1
        while left:
            left, complete, failed = self._multi.info_read()
            for curl in complete:
                self._finish(curl.handle)
            for curl, code, reason in failed:
                self._finish(curl.handle, code, reason)

    def _sweep(self) -> None:
        """End the transfers whose time is over."""
        due = math.inf
        for transfer in list(self._active):
            at = transfer.due()
            if at <= self.now:
                transfer.look_for_lines(self.now)
                at = transfer.due()
            if at <= self.now:
                self._time_out(transfer)
            else:
                due = min(due, at)
        self._sweep_at = max(due, self.now + _SWEEP) if self._active else math.inf

    def _time_out(self, transfer: Transfer) -> None:
        transfer.is_late = self.now >= transfer.limits.deadline
        if transfer.sent_at and not transfer.first_line() and _may_be_http2(transfer):
            # libcurl may wait for ever for a server whose HTTP/2 is broken.
            self._servers.only_http1.add(self._active[transfer].server)
        self._fail(transfer, pycurl.E_OPERATION_TIMEDOUT, "")
        self._release(transfer, is_broken=True)

    def _end(self) -> None:
        self._has_ended = True
        for transfer in list(self._active):
            transfer.fail_as(failures.CONNECTION, "the session was closed")
            self._release(transfer, is_broken=True)
        while self._submitted:
            self._refuse(self._submitted.popleft())
        for handle in [handle for handles in self._free.values() for handle in handles]:
            handle.close()
        self._multi.close()
        self._poller.close()
        self._reader.close()
        self._writer.close()

    def _refuse(self, transfer: Transfer) -> None:
        transfer.fail_as(failures.CONNECTION, "the session was closed")
        transfer.finish()

    def clear(self) -> None:
        """Keep half as many connections from now on; with each transfer an old one is closed."""
        self._max_idle = max(LEAST_IDLE, self._max_idle // 2)
        self._multi.setopt(pycurl.M_MAXCONNECTS, self._max_idle)

    def keep_for(self, hosts: int) -> None:
        """Keep connections for as many hosts as are at work, and for a few that were."""
        self._servers.keep_for(hosts)

    def expect(self, due: float) -> None:
        """Look at the clocks at ``due``, at the latest."""
        self._sweep_at = min(self._sweep_at, due)

    # Transfers

    def _start(self, transfer: Transfer) -> None:
        """Begin ``transfer``, or wait for the addresses of its host."""
        try:
            host, port, is_numeric = self._servers.address(transfer.message.url)
            if self._servers.only_http1 and (host, port) in self._servers.only_http1:
                transfer.route = transfer.route._replace(is_http1=True)
            is_plain = transfer.message.url.startswith("http:")
            if (self._servers.mended and (host, port) in self._servers.mended) or (
                is_plain and not transfer.message.is_repeatable  # it could not be sent again
            ):
                transfer.route = transfer.route._replace(is_mended=True)
            handle = self._handle(transfer.route)
        except FetchError as error:
            transfer.fail(error)
            transfer.finish()
            return
        self._active[transfer] = handle
        self.expect(transfer.due())
        handle.server = (host, port)
        if is_numeric or transfer.route.proxy:
            self._send(transfer, handle, None)
        else:
            self._resolver.resolve(host, port, lambda found: self._on_resolved(transfer, found))

    def _on_resolved(self, transfer: Transfer, found: Any) -> None:
        handle = self._active.get(transfer)
        if handle is None:  # its time was over
            return
        if isinstance(found, Exception):
            if isinstance(found, NoNameResolvesError):
                transfer.fail(failures.no_network_error(urls.redacted(transfer.message.url)))
            elif isinstance(found, OSError) and not isinstance(found, FetchError):
                no_handle = failures.handles_error(found.errno or 0)
                if no_handle is not None:
                    transfer.fail(no_handle)
                transfer.fail_as(failures.DNS)
            elif isinstance(found, UnicodeError):
                transfer.fail_as(failures.BAD_HOST)
            else:
                transfer.fail(found)  # type: ignore[arg-type]
            self._release(transfer, is_broken=False)
            return
        self._send(transfer, handle, found)

    def _send(self, transfer: Transfer, handle: Handle, addresses: list[str] | None) -> None:
        if transfer.route.is_mended:
            self._connect_mended(transfer, handle, addresses)
        else:
            self._add(transfer, handle, lambda: handle.prepare(transfer, addresses))

    def _connect_mended(
        self, transfer: Transfer, handle: Handle, addresses: list[str] | None
    ) -> None:
        """Send ``transfer`` by ``handle`` as soon as a mender is connected to its server."""
        addresses = addresses or self._resolver.latest(*handle.server) or None

        def on_connected(code: int, reason: str, number: int) -> None:
            if self._active.get(transfer) is not handle:  # its time was over
                near.close()
            elif code:
                near.close()
                self._fail(transfer, code, reason, number)
                self._release(transfer, is_broken=True)
            else:
                self._add(transfer, handle, lambda: handle.prepare_mended(transfer, near))

        try:
            near = connect_and_mend(
                transfer, handle, addresses, lambda *end: self.call(lambda: on_connected(*end))
            )
        except (pycurl.error, TypeError, ValueError) as error:
            transfer.fail_as(failures.BAD_URL, str(error))
            self._release(transfer, is_broken=True)

    def _add(self, transfer: Transfer, handle: Handle, prepare: Callable[[], None]) -> None:
        try:
            prepare()
        except (pycurl.error, TypeError, ValueError) as error:  # an option that libcurl refuses
            transfer.fail_as(failures.BAD_URL, str(error))
            self._release(transfer, is_broken=True)
            return
        if self._servers.are_many:
            self._servers.are_many = False
            handle.forget_names(LIFETIME)
        handle.close_idle(self._servers.idle_age(self.now))
        self._multi.add_handle(handle.curl)
        handle.is_added = True

    def _finish(self, handle: Handle, code: int = 0, reason: str = "") -> None:
        transfer = handle.transfer
        if transfer is None:
            return
        if handle.broken and (code or not transfer.is_delimited()):
            code, reason = handle.broken
        if code and self._goes_again(transfer, handle, code):
            return
        self._has_answered = self._has_answered or not code
        if code == pycurl.E_FTP_WEIRD_SERVER_REPLY and self._can_mend(transfer, reason):
            self._servers.mended.add(handle.server)
            if transfer.message.is_repeatable:
                self._begin_anew(transfer, handle)
                return
        if code in _BROKEN_HTTP2 | _MAYBE_HTTP2:
            self._doubt_version(transfer, handle)
        if code and not transfer.is_over:
            self._fail(transfer, code, reason, handle.curl.getinfo(pycurl.OS_ERRNO))
        elif handle.is_http1 or (transfer.is_resent and _may_be_http2(transfer)):
            if transfer.first_line().startswith(b"HTTP/1"):
                self._servers.only_http1.add(handle.server)
        elif transfer.message.body and transfer.sent_at:
            total = handle.curl.getinfo(pycurl.POSTTRANSFER_TIME_T) / 1e6
            transfer.sent_at = max(transfer.sent_at, min(monotonic(), handle.began + total))
        self._release(transfer, is_broken=False)

    def _goes_again(self, transfer: Transfer, handle: Handle, code: int) -> bool:
        """Send ``transfer`` once more, where a server or a kept connection made it fail."""
        if transfer.is_retried or transfer.error is not None:
            return False
        if not (transfer.message.is_repeatable or not transfer.sent_at):
            return False
        line = transfer.first_line()
        if line and not (line.startswith(b"HTTP/2") and transfer.limit is not None):
            return False
        if not transfer.sent_at and self._speaks_no_http1(handle, code):
            transfer.route = transfer.route._replace(is_http1=False)
            self._begin_anew(transfer, handle)
            return True
        is_old = code in _DIED_EARLY and handle.curl.getinfo(pycurl.NUM_CONNECTS) == 0
        if not (is_old or (_may_be_http2(transfer) and code in _DIED_EARLY | _BROKEN_HTTP2)):
            return False
        transfer.is_retried = True
        self._multi.remove_handle(handle.curl)
        handle.is_added = False
        if not is_old:
            handle.speak_http1(is_tls13=code != pycurl.E_SEND_ERROR)
        handle.curl.setopt(pycurl.FRESH_CONNECT, 1)
        handle.is_fresh = True
        transfer.restart()
        self._multi.add_handle(handle.curl)
        handle.is_added = True
        return True

    def _doubt_version(self, transfer: Transfer, handle: Handle) -> None:
        """Speak to a server by the other version of HTTP next time: this one may be broken."""
        if transfer.route.is_http1:
            self._servers.only_http1.discard(handle.server)
        elif _may_be_http2(transfer) and not handle.is_http1:
            self._servers.only_http1.add(handle.server)

    def _speaks_no_http1(self, handle: Handle, code: int) -> bool:
        """Return True for a server that refuses HTTP/1.1 after all, and forget that it spoke it."""
        if code != pycurl.E_SSL_CONNECT_ERROR or handle.server not in self._servers.only_http1:
            return False
        self._servers.only_http1.discard(handle.server)
        return True

    def _can_mend(self, transfer: Transfer, reason: str) -> bool:
        return reason.startswith(REASONS) and not transfer.route.is_mended

    def _begin_anew(self, transfer: Transfer, handle: Handle) -> None:
        """Send ``transfer`` again, by another handle for another route."""
        del self._active[transfer]
        self._take_back(handle, is_worn=True)
        transfer.restart()
        self._start(transfer)

    def _fail(self, transfer: Transfer, code: int, reason: str, number: int = 0) -> None:
        """Note what ``code``, ``reason`` and ``errno`` of libcurl mean."""
        if code == pycurl.E_COULDNT_CONNECT:
            no_handle = failures.handles_error(number)
            if no_handle is not None:
                transfer.fail(no_handle)
        kind = failures.kind_of(
            code, reason, is_sent=bool(transfer.sent_at), is_proxied=bool(transfer.route.proxy)
        )
        transfer.fail_as(kind, failures.without_password(reason, transfer.route.proxy))

    def _resume(self, transfer: Transfer) -> None:
        handle = self._active.get(transfer)
        if handle is not None and transfer.is_paused:
            transfer.is_paused = False
            transfer.last = self.now
            handle.curl.pause(pycurl.PAUSE_CONT)
            self._timer_at = min(self._timer_at, self.now)
            self.expect(transfer.due())

    def _cancel(self, transfer: Transfer) -> None:
        if transfer in self._active:
            transfer.fail_as(failures.CONNECTION, "the response was closed")
            self._release(transfer, is_broken=True)

    def _release(self, transfer: Transfer, *, is_broken: bool) -> None:
        """Take the handle back, and hand on the transfer as it is."""
        handle = self._active.pop(transfer)
        self._servers.used(handle.server, self.now)
        self._take_back(handle, is_worn=is_broken)
        transfer.finish()

    def _take_back(self, handle: Handle, *, is_worn: bool) -> None:
        if handle.is_added:
            self._multi.remove_handle(handle.curl)
            handle.is_added = False
        handle.transfer = None
        free = self._free.setdefault(handle.route, [])
        if is_worn or handle.is_worn or len(free) >= _MAX_FREE:
            handle.close()
        else:
            free.append(handle)

    def _handle(self, route: Route) -> Handle:
        free = self._free.get(route)
        return free.pop() if free else Handle(route, self.addresses, self.expect)


def _may_be_http2(transfer: Transfer) -> bool:
    return transfer.message.url.startswith("https:") and not transfer.route.is_http1


def _nothing() -> None:
    """Do nothing: the call alone wakes the loop."""
