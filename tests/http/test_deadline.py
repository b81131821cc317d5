"""A time limit for a whole response, with real connections on loopback."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from queue import Queue

import pytest
import requests
from urllib3.exceptions import HTTPError

from crawler.http import deadline
from crawler.http.deadline import Deadline, Watchdog
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings
from tests.sites import PATIENCE

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
CLOSING = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@contextmanager
def a_server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Each connection sends one request and gets ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(connection,), daemon=True).start()

        def handle(connection: socket.socket) -> None:
            with closing(connection):
                connection.recv(65536)
                answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


class Drip:
    """Sends ``head`` and then a byte now and then; ``end`` says how that came to its end."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.end: Queue[str] = Queue()

    def __call__(self, connection: socket.socket) -> None:
        until = time.monotonic() + PATIENCE
        try:
            connection.sendall(self.head)
            while time.monotonic() < until:
                connection.sendall(b"x")
                time.sleep(0.02)
        except OSError:
            self.end.put("cut")
        self.end.put("out of patience")


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    made = Watchdog(tick=0.02)
    yield made
    made.close()


@pytest.fixture
def session() -> Iterator[Session]:
    with Session("test", Settings()) as made:
        yield made


def read_all(session: Session, url: str) -> None:
    request = requests.Request("GET", url)
    response = session.send_once(session.prepare_request(request), (PATIENCE, PATIENCE))
    while response.raw.read(100, decode_content=True):
        pass


def read_until_cut(session: Session, url: str) -> None:
    with contextlib.suppress(OSError, requests.RequestException, HTTPError):
        read_all(session, url)


@pytest.mark.parametrize("head", [HEAD, CLOSING, b""])
def test_a_response_that_drips_is_cut(watchdog: Watchdog, session: Session, head: bytes) -> None:
    """Whether its end is a length or the end of the connection, or it never gets to headers."""
    drip = Drip(head)
    with a_server(drip) as url, watchdog.limit(0.1) as limit:
        began = time.monotonic()
        read_until_cut(session, url)
        assert limit.passed
        assert time.monotonic() - began >= 0.1
    session.close()
    assert drip.end.get(timeout=2 * PATIENCE) == "cut"


def test_a_response_in_time_is_not_cut(watchdog: Watchdog, session: Session) -> None:
    with a_server(lambda connection: connection.sendall(CLOSING + b"done")) as url:
        with watchdog.limit(PATIENCE) as limit:
            read_all(session, url)
        assert not limit.passed


def test_only_what_is_over_its_time_is_cut(watchdog: Watchdog, session: Session) -> None:
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        go_on.wait(PATIENCE)
        connection.sendall(b"done")

    results: list[bool] = []

    def patient(url: str) -> None:
        with watchdog.limit(PATIENCE) as limit:
            read_all(session, url)
        results.append(limit.passed)

    with a_server(answer) as slow, a_server(Drip(HEAD)) as dripping:
        other = threading.Thread(target=patient, args=(slow,))
        other.start()
        with watchdog.limit(0.1) as limit:
            read_until_cut(session, dripping)
        assert limit.passed
        go_on.set()
        other.join(PATIENCE)
    assert results == [False]


def test_a_limit_ends_with_its_block(watchdog: Watchdog) -> None:
    with watchdog.limit(0.0) as limit:
        assert deadline._current.deadline is limit
    assert getattr(deadline._current, "deadline", None) is None
    assert watchdog._running == {}


def test_a_limit_ends_with_an_error_too(watchdog: Watchdog) -> None:
    with pytest.raises(ValueError, match="x"), watchdog.limit(1.0):
        raise ValueError("x")
    assert watchdog._running == {}
    assert getattr(deadline._current, "deadline", None) is None


def test_what_has_no_connection_yet_can_be_cut() -> None:
    limit = Deadline(0.0)
    limit.cut()
    assert limit.passed


def test_the_thread_ends(watchdog: Watchdog) -> None:
    with watchdog.limit(PATIENCE):
        thread = watchdog._thread
        assert thread is not None
        assert thread.daemon
    watchdog.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("unusual", [None, {"X-Way": "general"}])
def test_when_a_request_went_out_is_known_to_its_thread(unusual: dict[str, str] | None) -> None:
    """Not when it was meant to go: connecting may take a while, and a delay counts from here."""
    heard: list[float] = []

    def answer(connection: socket.socket) -> None:
        heard.append(time.monotonic())
        connection.sendall(CLOSING)

    with a_server(answer) as url, closing(Session("s", Settings(delay=0))) as session:
        before = time.monotonic()
        raw = session.fetch(Request(url, headers=unusual), (PATIENCE, PATIENCE))
        raw.raw.close()
        assert before < deadline.sent_at() < time.monotonic()
        another = threading.Thread(target=lambda: heard.append(deadline.sent_at()))
        another.start()
        another.join(PATIENCE)
    assert heard[-1] == 0  # another thread has sent nothing
