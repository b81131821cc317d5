"""Fetches from misbehaving servers: the response or the cause of the failure."""

from __future__ import annotations

import gzip
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped]
import pytest

from crawler import Request, Spider
from crawler.scheduling.politeness import HostClock
from tests.jobs import Title, failures, items, run_job, values
from tests.sites import JITTER, Reply, Site, Visit, closed_port, links, web
from tests.tls import Authority, SecureSite

try:
    from compression import zstd  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    from backports import zstd

pytestmark = pytest.mark.usefixtures("no_leaks")


class Text(Spider):
    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url, "text": response.text, "encoding": response.encoding}


PAGE = "<html><body>" + "Grüße aus Köln. " * 300 + "</body></html>"
RAW_DEFLATE = zlib.compressobj(wbits=-15)
ENCODED = {
    "gzip": gzip.compress(PAGE.encode()),
    "x-gzip": gzip.compress(PAGE.encode()),
    "deflate": zlib.compress(PAGE.encode()),
    "deflate, raw": RAW_DEFLATE.compress(PAGE.encode()) + RAW_DEFLATE.flush(),
    "gzip, two members": gzip.compress(PAGE.encode()[:99]) + gzip.compress(PAGE.encode()[99:]),
    "br": brotli.compress(PAGE.encode()),
    "zstd": zstd.compress(PAGE.encode()),
    "deflate, gzip": gzip.compress(zlib.compress(PAGE.encode())),
}


def test_bodies_are_decoded(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = links(*(f"/{n}" for n in range(len(ENCODED))))
    for n, (name, body) in enumerate(ENCODED.items()):
        coding = name if name == "deflate, gzip" else name.partition(",")[0]
        site.pages[f"/{n}"] = Reply(body, headers=(("Content-Encoding", coding),))
    run_job(Text, tmp_path, *(f"{site.url}/{n}" for n in range(len(ENCODED))))
    assert failures(tmp_path) == {}
    found = {item["url"][len(site.url) + 1 :]: item["text"] for item in items(tmp_path)}
    assert [n for n in ENCODED if found[str(list(ENCODED).index(n))] != PAGE] == []


def test_every_coding_that_is_asked_for_can_be_read(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = "x"
    run_job(Text, tmp_path, site.url + "/")
    asked_for = site.visits("/")[0].headers["Accept-Encoding"].split(", ")
    assert set(asked_for) == {"gzip", "deflate", "br", "zstd"}


def test_a_body_in_another_coding_than_it_says_fails_for_good(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = Reply("plain", headers=(("Content-Encoding", "gzip"),))
    run_job(Text, tmp_path, site.url + "/")
    assert failures(tmp_path) == {"/": "decoding"}
    assert site.asked["/"] == 1


def test_encodings_are_decided_as_browsers_do(tmp_path: Path, site: Site) -> None:
    text = "naïve “Köln” €"
    site.pages = {
        "/header": Reply(
            text.encode("cp1252"), headers=(("Content-Type", "text/html; charset=latin1"),)
        ),
        "/meta": Reply(
            b'<meta charset="windows-1252">' + text.encode("cp1252"),
            headers=(("Content-Type", "text/html"),),
        ),
        "/bom": Reply(
            b"\xff\xfe" + text.encode("utf-16-le"), headers=(("Content-Type", "text/html"),)
        ),
    }
    run_job(Text, tmp_path, *(site.url + path for path in site.pages))
    assert len(items(tmp_path)) == 3
    assert all(item["text"].endswith(text) for item in items(tmp_path))


# Limits


@pytest.mark.parametrize("coding", ["identity", "gzip", "br", "zstd", "chunked"])
def test_the_size_limit_counts_decoded_bytes(tmp_path: Path, site: Site, coding: str) -> None:
    def body(size: int) -> Reply:
        plain = b"x" * size
        if coding == "chunked":
            chunks = b"".join(b"400\r\n" + b"x" * 1024 + b"\r\n" for _ in range(size // 1024))
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            return Reply(raw=lambda sock: try_to_send(sock, head + chunks + b"0\r\n\r\n"))
        encode: Any = {
            "identity": bytes,
            "gzip": gzip.compress,
            "br": lambda data: brotli.compress(data, quality=5),
            "zstd": zstd.compress,
        }[coding]
        return Reply(encode(plain), headers=(("Content-Encoding", coding),))

    limit = 256 * 1024
    site.pages = {"/fits": body(limit), "/bomb": body(32 * limit), "/over": body(limit + 1024)}
    run_job(Text, tmp_path, *(site.url + path for path in site.pages), max_body=limit)
    assert failures(tmp_path) == {"/bomb": "body too large", "/over": "body too large"}
    assert len(items(tmp_path)) == 1
    assert set(site.asked.values()) == {1}


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path, site: Site) -> None:
    """100 MB of zeros come as 100 KB: memory must stay near the limit."""
    site.pages["/"] = Reply(
        gzip.compress(bytes(100 * 1024 * 1024), 9), headers=(("Content-Encoding", "gzip"),)
    )
    tracemalloc.start()
    try:
        run_job(Text, tmp_path, site.url + "/", max_body=1024 * 1024)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert failures(tmp_path) == {"/": "body too large"}
    assert peak < 20 * 1024 * 1024


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"


def drip(*parts: bytes) -> Reply:
    """Send ``parts`` byte by byte, very slowly, until the client closes the connection."""

    def send(sock: socket.socket) -> None:
        data = iter(b"".join(parts))
        while try_to_send(sock, bytes([next(data, 0x78)])):
            time.sleep(0.01)

    return Reply(raw=send)


def try_to_send(sock: socket.socket, data: bytes) -> bool:
    """Return False if the client has closed the connection."""
    try:
        sock.sendall(data)
    except OSError:
        return False
    return True


SLOW = {
    "in the body": drip(HEAD, b"Content-Length: 100000\r\n\r\n"),
    "in a body without a length": drip(HEAD, b"\r\n"),
    "in chunks": drip(HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10_000),
    "in the status line": drip(b"HTTP/1.1 200 O", b"K" * 10_000),
    "in the headers": drip(HEAD, *(b"X-%d: y\r\n" % n for n in range(90))),
}


@pytest.mark.parametrize("place", list(SLOW))
def test_a_dripping_server_is_cut_after_the_timeout(
    tmp_path: Path, site: Site, other: Site, place: str
) -> None:
    site.pages["/"] = SLOW[place]
    web([other], 20)
    seeds = (site.url + "/", other.url + "/0")
    began = time.monotonic()
    run_job(Title, tmp_path, *seeds, timeout=0.6, read_timeout=30, retries=0)
    assert time.monotonic() - began >= 0.6
    assert failures(tmp_path) == {"/": "timeout"}
    assert len(items(tmp_path)) == 20


def test_a_silent_server_is_cut_after_the_read_timeout(tmp_path: Path, site: Site) -> None:
    site.pages["/"] = Reply(raw=lambda sock: sock.recv(1))
    run_job(Title, tmp_path, site.url + "/", read_timeout=0.2, retries=1)
    assert failures(tmp_path) == {"/": "timeout"}
    assert site.asked["/"] == 2


# Broken connections


def reset(sock: socket.socket) -> None:
    """Break the connection as a crash would."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


BROKEN: dict[str, tuple[str, Reply]] = {
    "cut body": (
        "truncated",
        Reply(raw=lambda sock: sock.sendall(HEAD + b"Content-Length: 100\r\n\r\nhalf")),
    ),
    "cut chunk": (
        "truncated",
        Reply(
            raw=lambda sock: sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf")
        ),
    ),
    "no last chunk": (
        "truncated",
        Reply(raw=lambda s: s.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")),
    ),
    "no answer": ("connection", Reply(raw=lambda sock: None)),
    "reset": ("connection", Reply(raw=reset)),
    "no http": ("connection", Reply(raw=lambda sock: sock.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"))),
}


@pytest.mark.parametrize("kind", list(BROKEN))
def test_a_broken_answer_is_asked_again_and_never_taken_for_the_page(
    tmp_path: Path, site: Site, kind: str
) -> None:
    cause, answer = BROKEN[kind]
    site.pages = {"/never": answer}
    site.pages["/once"] = lambda visit: answer if len(site.visits("/once")) < 2 else "well"
    run_job(Text, tmp_path, site.url + "/never", site.url + "/once", retries=1)
    assert failures(tmp_path) == {"/never": cause}
    assert [item["text"] for item in items(tmp_path)] == ["well"]
    assert site.asked["/once"] == 2
    # A kept connection that ends before an answer is no try: a fresh one is used at once.
    at_once = 2 if kind in ("no answer", "reset") else 0
    assert 2 <= site.asked["/never"] <= 2 + at_once


def test_a_host_that_is_not_there(tmp_path: Path, site: Site) -> None:
    with closed_port() as port:
        nowhere = f"http://127.0.0.1:{port}"
        web([site], 10)
        seeds = (site.url + "/0", nowhere + "/a", "http://no-such-host.invalid/b")
        run_job(Title, tmp_path, *seeds, obey_robots=False, retries=1)
    assert failures(tmp_path) == {"/a": "refused", "/b": "dns"}
    assert values(items(tmp_path)) == sorted(f"{site.url}/{n}" for n in range(10))


def test_a_host_that_comes_back_is_asked_again(tmp_path: Path) -> None:
    site = Site()
    with site:
        web([site], 3)
        summary = run_job(Title, tmp_path, site.url + "/0", max_pages=1)
    # Its port is closed now: the tries are spent, but the pages of other runs are safe.
    assert summary.counters.items == 1
    with closed_port(site.port):
        run_job(Title, tmp_path, site.url + "/0", retries=0)
    assert set(failures(tmp_path).values()) == {"refused"}
    assert len(items(tmp_path)) == 1


def test_a_retry_waits_without_delaying_other_requests(tmp_path: Path, site: Site) -> None:
    """The wait between two tries is spent in the frontier: one thread is enough for all."""
    site.pages["/"] = links("/broken", *(f"/{n}" for n in range(20)))
    site.pages["/broken"] = Reply("no", 500)
    site.otherwise = lambda visit: "x"
    run_job(Title, tmp_path, site.url + "/", retries=1, retry_wait=0.8, concurrency=1)
    first, second = site.visits("/broken")
    assert second.came - first.came >= 0.8 - JITTER
    assert any(first.came < visit.came < second.came for visit in site.visits())


def test_a_post_that_may_have_been_acted_on_is_not_sent_again(tmp_path: Path, site: Site) -> None:
    class Buying(Text):
        def parse(self, response: Any) -> Iterator[Any]:
            for path in ("/broken", "/error", "/later"):
                yield response.follow(path, "bought", method="POST", data={"n": "1"})

        def bought(self, response: Any) -> Any:
            return {"text": response.text}

    busy = Reply("later", 503, (("Retry-After", "0"),))
    site.pages = {
        "/": "x",
        "/broken": Reply(raw=reset),
        "/error": Reply("no", 502),
        "/later": lambda visit: busy if len(site.visits("/later")) < 2 else "bought",
    }
    run_job(Buying, tmp_path, site.url + "/")
    assert site.asked == {"/": 1, "/broken": 1, "/error": 1, "/later": 2}
    assert failures(tmp_path) == {"/broken": "connection", "/error": "http 502"}
    assert [item["text"] for item in items(tmp_path)] == ["bought"]


def test_an_empty_query_is_sent_as_written_and_names_the_same_page(
    tmp_path: Path, site: Site
) -> None:
    site.pages["/"] = links("/a?", "/a", "/a#top", "/a?")
    site.otherwise = lambda visit: "x"
    run_job(Title, tmp_path, site.url + "/")
    assert site.asked == {"/": 1, "/a?": 1}
    assert values(items(tmp_path)) == [f"{site.url}/", f"{site.url}/a?"]


# Connections


@pytest.mark.parametrize("workers", [0, 2])
def test_connections_are_used_again(tmp_path: Path, site: Site, workers: int) -> None:
    web([site], 200)
    run_job(Title, tmp_path, site.url + "/0", workers=workers, concurrency_per_host=8)
    assert len(items(tmp_path)) == 200
    assert site.connections <= 8


def test_connections_are_used_again_after_errors_and_redirects(tmp_path: Path, site: Site) -> None:
    def page(visit: Visit) -> Reply:
        n = int(visit.path[1:])
        if n % 3 == 0:
            return Reply("a page that is not there " * 1000, 404)
        return Reply("moved " * 1000, 302, (("Location", f"/{n + 1}"),))

    site.pages["/"] = links(*(f"/{n}" for n in range(60)))
    site.otherwise = page
    run_job(Title, tmp_path, site.url + "/")
    assert site.connections == 1


def test_a_server_that_closes_idle_connections_costs_no_page(tmp_path: Path, site: Site) -> None:
    """It says nothing of closing, and does so before the next request comes."""

    def close_after(sock: socket.socket) -> None:
        sock.sendall(HEAD + b"Content-Length: 1\r\n\r\nx")

    site.pages["/"] = links(*(f"/{n}" for n in range(5)))
    site.otherwise = lambda visit: Reply(raw=close_after)
    summary = run_job(Title, tmp_path, site.url + "/", delay=0.05)
    assert len(items(tmp_path)) == 6
    assert summary.failures == {}
    assert site.connections >= 5


MANY = b"".join(b"<b>%d</b>" % (number * number) for number in range(3000))
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
    "gzip, br": lambda page: brotli.compress(gzip.compress(page)),
    "br, gzip": lambda page: gzip.compress(brotli.compress(page)),
}


@pytest.mark.parametrize("encoding", list(PACKED))
@pytest.mark.parametrize("part", [0.05, 0.5, 0.99])
def test_a_compressed_page_that_ends_in_the_middle_is_not_taken_for_whole(
    tmp_path: Path, site: Site, encoding: str, part: float
) -> None:
    whole = PACKED[encoding](MANY)
    headers = (("Content-Encoding", encoding),)
    half = Reply(whole[: int(len(whole) * part)], headers=headers)
    site.pages = {"/": half, "/whole": Reply(whole, headers=headers)}
    run_job(Text, tmp_path, f"{site.url}/", f"{site.url}/whole", retries=1)
    assert failures(tmp_path) == {"/": "truncated"}
    assert [item["text"] for item in items(tmp_path)] == [MANY.decode()]
    assert len(site.visits("/")) == 2


@pytest.mark.parametrize("encoding", list(PACKED))
def test_nothing_at_all_is_a_page_whatever_it_is_packed_in(
    tmp_path: Path, site: Site, encoding: str
) -> None:
    site.pages["/"] = Reply(b"", headers=(("Content-Encoding", encoding),))
    run_job(Text, tmp_path, f"{site.url}/", retries=0)
    assert failures(tmp_path) == {}
    assert [item["text"] for item in items(tmp_path)] == [""]


class Secure(Spider):
    """Asks for one page more, which is sent by the loop or, with ``replay=False``, by a thread."""

    bundle = ""
    replay = ""

    def prepare(self, session: Any) -> None:
        session.verify = self.bundle

    def parse(self, response: Any) -> Iterator[Any]:
        if response.url.endswith("/"):
            yield Request(f"{response.url}next", replay=self.replay == "yes")


@pytest.mark.parametrize("replay", ["yes", "no"])
def test_the_time_of_a_fetch_is_that_of_sending_after_the_connection_is_made(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch, replay: str
) -> None:
    """The delay of a host counts from there: a slow handshake does not use it up."""
    handshakes: list[float] = []
    starts: list[float] = []
    fetched = HostClock.fetched

    def record(clock: HostClock, started: float, *args: Any, **named: Any) -> None:
        starts.append(started)
        fetched(clock, started, *args, **named)

    monkeypatch.setattr(HostClock, "fetched", record)
    context = authority.context()
    context.sni_callback = lambda *_: handshakes.append(time.monotonic())
    with SecureSite.of(context) as site:
        closed = (("Connection", "close"),)
        site.pages["/robots.txt"] = Reply("User-agent: *\nAllow: /", headers=closed)
        site.otherwise = lambda visit: Reply("x", headers=closed)
        arguments = {"bundle": str(authority.bundle), "replay": replay}
        run_job(Secure, tmp_path, f"{site.url}/", arguments=arguments)
        assert [visit.path for visit in site.log] == ["/robots.txt", "/", "/next"]
    assert len(handshakes) == len(starts) == 3
    assert all(start >= made for start, made in zip(starts, handshakes, strict=True))
