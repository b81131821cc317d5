"""The pool with many hosts: names are forgotten in time, and connections stay below the limit."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from crawler import Request, Session
from crawler.http.environment import Environment
from crawler.settings import Settings
from tests.sending import answered
from tests.sites import PATIENCE, Site

pytestmark = pytest.mark.usefixtures("no_leaks")

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
def session() -> Iterator[Session]:
    session = Session("s", Settings(allow_private=True, delay=0))
    yield session
    session.close()


def test_many_names_are_looked_up_again_and_never_by_libcurl(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any) -> Any:
        if host.endswith(".test"):  # which libcurl would not find
            asked[host] += 1
        return look_up("127.0.0.1" if host.endswith(".test") else host, *rest)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("crawler.http.curl.servers._MAX_ORIGINS", 3)
    monkeypatch.setattr("crawler.http.curl.resolver.LIFETIME", 0)
    names = [f"{letter}.test" for letter in "abcdefgh"]
    with Site({"/": "ok"}) as site:
        for turn in range(3):
            for name in names:
                headers = {"Connection": "close"}  # each request needs the addresses
                url = f"http://{name}:{site.port}/"
                assert session.get(url, headers=headers, timeout=PATIENCE).text == "ok", turn
    assert asked == dict.fromkeys(names, 3)


def test_a_new_connection_takes_the_place_of_an_idle_one_at_the_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crawler.http.curl.pool._most_connections", lambda: 3)
    session = Session("s", Settings(allow_private=True, delay=0))
    ended: list[bytes] = []

    def serve(listeners: list[socket.socket]) -> None:
        with contextlib.ExitStack() as stack:
            connections: list[socket.socket] = []
            for listener in listeners:
                connection, _ = listener.accept()
                connections.append(stack.enter_context(connection))
                connection.settimeout(PATIENCE)
                connection.recv(65_536)
                if len(connections) > 3:  # before the new one has its answer
                    ended.append(connections[len(connections) - 4].recv(1))
                connection.sendall(ANSWER)

    with contextlib.ExitStack() as stack:
        stack.callback(session.close)
        listeners = [
            stack.enter_context(socket.create_server((f"127.0.0.{last}", 0)))
            for last in range(1, 6)
        ]
        thread = threading.Thread(target=serve, args=(listeners,))
        thread.start()
        for listener in listeners:
            address, port = listener.getsockname()
            assert session.get(f"http://{address}:{port}/", timeout=PATIENCE).text == "ok"
        thread.join()
    assert ended == [b"", b""]


def test_connections_of_hosts_that_are_no_longer_used_are_closed(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crawler.http.curl.servers._LEAST_SERVERS", 3)
    adapter: Any = session.get_adapter("http://")
    loop = adapter.pool.loop
    loop.call(lambda: loop.keep_for(0))
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = threading.Thread(
            target=lambda: session.get(f"http://127.0.0.1:{listener.getsockname()[1]}/")
        )
        thread.start()
        connection = stack.enter_context(listener.accept()[0])
        connection.recv(65_536)
        connection.sendall(ANSWER)
        thread.join()
        connection.setblocking(False)
        sites = [
            stack.enter_context(Site({"/": "ok"}, address=f"127.0.0.{last}"))
            for last in range(2, 8)
        ]
        deadline = time.monotonic() + PATIENCE
        while is_open(connection):
            assert time.monotonic() < deadline, "the connection stays open"
            for site in sites:
                session.get(f"{site.url}/", timeout=PATIENCE)


def is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def test_without_proxies_the_environment_is_not_searched_for_one_for_each_host(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    environment = Environment()
    assert environment.merge(session, "http://a.test/")[0] == {}
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
    assert environment.merge(session, "http://b.test/")[0] == {"http": "http://proxy.test:1"}
    monkeypatch.setenv("no_proxy", "c.test")
    assert environment.merge(session, "http://c.test/")[0] == {}


def test_a_session_that_is_dropped_leaves_nothing_for_the_garbage_collector() -> None:
    gc.disable()
    try:
        with Site({"/": "ok"}) as site:
            session = Session("s", Settings(allow_private=True, delay=0))
            answered(Request(site.url), session, Settings())
            session.close()
        ref = weakref.ref(session)
        del session
        assert ref() is None
    finally:
        gc.enable()
