"""A time limit for a whole response, with real connections on loopback."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from queue import Queue

import pytest
import requests

from crawler.errors import FetchError
from crawler.http.adapter import read_body
from crawler.http.deadline import FetchContext, of_thread, on_thread
from crawler.request import Request
from crawler.session.session import Session
from crawler.settings import Settings
from tests.sites import PATIENCE

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
PATIENT = (PATIENCE, PATIENCE)
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
def session() -> Iterator[Session]:
    with Session("test", Settings()) as made:
        yield made


def read_all(session: Session, url: str, context: FetchContext) -> None:
    prepared = session.prepare_request(requests.Request("GET", url))
    response = session.send_once(prepared, (PATIENCE, PATIENCE), context)
    while response.raw.read(100, decode_content=True):
        pass


def read_plainly(session: Session, url: str, context: FetchContext) -> None:
    read_body(session.fetch(Request(url), PATIENT, context, 10**7), url, 10**7)


Reader = Callable[[Session, str, FetchContext], None]


@pytest.mark.parametrize("head", [HEAD, CLOSING, b"HTTP/1.1 200 O"])
@pytest.mark.parametrize("read", [read_all, read_plainly])
def test_a_response_that_drips_is_cut(session: Session, head: bytes, read: Reader) -> None:
    """Whether its end is a length or the end of the connection, or it never gets to headers."""
    drip, context = Drip(head), FetchContext()
    with a_server(drip) as url:
        began = time.monotonic()
        with (
            pytest.raises(FetchError, match=r"took longer than timeout, 0\.1 s") as raised,
            context.limited(0.1, url),
        ):
            read(session, url, context)
        assert (raised.value.cause, raised.value.retryable) == ("timeout", True)
        assert time.monotonic() - began >= 0.1
        assert context.is_late
        assert drip.end.get(timeout=2 * PATIENCE) == "cut"


def test_a_response_in_time_is_not_cut(session: Session) -> None:
    with a_server(lambda connection: connection.sendall(CLOSING + b"done")) as url:
        context = FetchContext()
        with context.limited(PATIENCE, url):
            read_all(session, url, context)
        assert not context.is_late


def test_only_what_is_over_its_time_is_cut(session: Session) -> None:
    go_on = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        go_on.wait(PATIENCE)
        connection.sendall(b"done")

    results: list[bool] = []

    def patient(url: str) -> None:
        context = FetchContext()
        with context.limited(PATIENCE, url):
            read_all(session, url, context)
        results.append(context.is_late)

    with a_server(answer) as slow, a_server(Drip(HEAD)) as dripping:
        other = threading.Thread(target=patient, args=(slow,))
        other.start()
        context = FetchContext()
        with pytest.raises(FetchError), context.limited(0.1, dripping):
            read_all(session, dripping, context)
        go_on.set()
        other.join(PATIENCE)
    assert results == [False]


def test_a_limit_ends_with_its_block() -> None:
    context = FetchContext()
    with context.limited(0.0, "x"):
        assert context.deadline <= time.monotonic()
    assert context.deadline == math.inf


def test_a_limit_ends_with_an_error_too() -> None:
    context = FetchContext()
    with pytest.raises(ValueError, match="x"), context.limited(1.0, "x"):
        raise ValueError("x")
    assert context.deadline == math.inf


def test_the_thread_ends_with_the_session(session: Session) -> None:
    with a_server(lambda connection: connection.sendall(CLOSING)) as url:
        before = set(threading.enumerate())
        session.get(url)
        (thread,) = (one for one in set(threading.enumerate()) - before if one.name == "curl")
        session.close()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.parametrize("unusual", [None, {"X-Way": "general"}])
def test_a_context_says_when_its_request_went_out(unusual: dict[str, str] | None) -> None:
    """Not when it was meant to go: connecting may take a while, and a delay counts from here."""
    answered: list[float] = []

    def answer(connection: socket.socket) -> None:
        answered.append(time.monotonic())
        connection.sendall(CLOSING)

    context, other = FetchContext(), FetchContext()
    with a_server(answer) as url, closing(Session("s", Settings(delay=0))) as session:
        before = time.monotonic()
        with on_thread(other):  # a context that is passed comes before that of the thread
            raw = session.fetch(Request(url, headers=unusual), (PATIENCE, PATIENCE), context)
        raw.raw.close()
        assert before < context.sent_at < time.monotonic()
    assert len(answered) == 1
    assert other.sent_at == 0


def test_requests_find_the_context_of_their_thread() -> None:
    context = FetchContext()
    with (
        a_server(lambda connection: connection.sendall(CLOSING)) as url,
        closing(Session("s", Settings(delay=0))) as session,
    ):
        session.get(url)
        assert context.sent_at == 0
        with on_thread(context):
            another = threading.Thread(target=session.get, args=(url,))
            another.start()
            another.join(PATIENCE)
            assert context.sent_at == 0
            session.get(url)
            assert 0 < context.sent_at < time.monotonic()
            session.open(url)
            assert of_thread() is context
        assert of_thread() is None
