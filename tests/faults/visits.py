"""The responses of the crash machine's site: its logins and its pages."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import msgspec

from tests import wire
from tests.faults.web import HOSTS, Kind, Place, Shape, Web

SLOWNESS = 0.05
"""Seconds that a slow page takes."""
SHORTEST_SESSION, LONGEST_SESSION = 80, 200
"""Pages that a session is good for."""
ADDRESSES = tuple(f"127.0.0.{host + 1}" for host in range(HOSTS))

_NUMBER = b"\r\nX-Number: 5\r\n"
"""A header that the spider gives as an int."""
_FLAKY = {Kind.BUSY, Kind.BROKEN, Kind.RESET, Kind.CUT}


class Had(msgspec.Struct):
    """The requests to one web."""

    requests: int = 0
    answers: dict[str, int] = msgspec.field(default_factory=dict)
    """The number of times that each page was served to a member, by its place."""
    orders: dict[str, int] = msgspec.field(default_factory=dict)
    """The number of times that each order was placed."""
    ordered_at: dict[str, float] = msgspec.field(default_factory=dict)
    """When each order was placed first, in seconds since 1970."""
    logins: int = 0
    ended: int = 0
    """Sessions that the site has ended."""
    refused: int = 0
    """Requests for pages by visitors who are not logged in."""


def origin(host: int, port: int) -> str:
    """A host's scheme, address and port."""
    return f"http://{ADDRESSES[host]}:{port}"


@dataclass
class State:
    """One web being crawled."""

    web: Web
    had: Had = field(default_factory=Had)
    asked: set[str] = field(default_factory=set)
    sessions: dict[str, int] = field(default_factory=dict)
    """Pages that each session is still good for."""
    tokens: dict[str, int] = field(default_factory=dict)
    """The number of each session's next page, where the cookie changes with each."""


@dataclass
class Visit:
    """One request to one web, and its answer."""

    transport: asyncio.Transport
    port: int
    state: State
    host: int
    method: str
    cookies: dict[bytes, bytes]
    head: bytes
    """What came before the body."""

    def reply(self, status: str, body: str = "", *headers: str) -> bytes:
        """Answer a member; the response may set a cookie for the next page."""
        if self.state.web.shape is Shape.TOKEN:
            sid, turn = self._session()
            self.state.tokens[sid] = turn + 1
            headers = (*headers, f"Set-Cookie: sid={sid}*{turn + 1}; Path=/; HttpOnly")
        return wire.reply(status, body, *headers)

    def answer(self, what: str, number: str, body: bytes) -> None:
        """Write the answer of the page ``what`` and ``number``, which are the path's two parts."""
        web, write = self.state.web, self.transport.write
        if what == "login":
            write(self._login(body))
            return
        place = Place(self.host, int(number))
        if what == "order":
            _count(self.state.had.orders, place)
            self.state.had.ordered_at.setdefault(str(place), time.time())
            write(wire.reply("200 OK", _text("ordered")))
        elif not self._may_come_in():
            write(self._refusal(place))
        elif what == "p":
            self._page(place)
        elif what == "post" and place.number % 2:
            write(self.reply("303 See Other", "", f"Location: /{web.name}/result/{number}"))
        elif what in {"post", "result"}:
            write(self.reply("200 OK", _text(web.text("posted", *place))))
        elif what == "behind":
            is_open = self.cookies.get(b"key") == number.encode()
            write(wire.reply("200 OK", _text(web.text("behind", *place) if is_open else "shut")))
        elif what == "typed":
            is_right = f"\r\nx-place: {place}\r\n".encode() in self.head.lower() + b"\r\n"
            text = web.text("typed", *place) if is_right and _NUMBER in self.head else "wrong"
            write(self.reply("200 OK", _text(text)))
        else:
            write(wire.reply("404 Not Found"))

    # Who may come in

    def _login(self, body: bytes) -> bytes:
        web, state = self.state.web, self.state
        if self.method != "POST":
            form = f'<form method=post action="/{web.name}/login"><input name=user>'
            return wire.reply("200 OK", f"{form}<input type=password name=password></form>")
        if b"password=sesame" not in body:
            return wire.reply("200 OK", "please log in with the right password")
        # Logging in takes one form on each host: their addresses have no cookies in common.
        state.had.logins += self.host == HOSTS - 1
        sid = f"{self.host}.{len(state.sessions)}"
        life = SHORTEST_SESSION + web.draw("life", sid) % (LONGEST_SESSION - SHORTEST_SESSION)
        state.sessions[sid] = life
        return wire.reply("200 OK", "welcome", f"Set-Cookie: sid={sid}; Path=/; HttpOnly")

    def _may_come_in(self) -> bool:
        if not self.state.web.shape.logs_in:
            return True
        sid, turn = self._session()
        left = self.state.sessions.get(sid, 0)
        if not left or turn != self.state.tokens.get(sid, 0):
            return False
        self.state.sessions[sid] = left - 1
        self.state.had.ended += left == 1
        return True

    def _session(self) -> tuple[str, int]:
        """The visitor's session, and which of its pages the cookie is good for."""
        sid, _, turn = self.cookies.get(b"sid", b"").decode().partition("*")
        return sid, int(turn or 0)

    def _refusal(self, place: Place) -> bytes:
        web = self.state.web
        self.state.had.refused += 1
        if web.shape is Shape.GUEST:
            return wire.reply("200 OK", _text("please log in"))
        if web.draw("refusal", *place) % 2:
            return wire.reply("401 Unauthorized", _text("please log in"))
        return wire.reply("302 Found", "", f"Location: /{web.name}/login?next={place.number}")

    # Pages

    def _page(self, place: Place) -> None:
        web, transport = self.state.web, self.transport
        kind = web.kind(place)
        if kind in _FLAKY and str(place) not in self.state.asked:
            self.state.asked.add(str(place))
            self._fail(kind, place)
        elif kind in {Kind.MOVED, Kind.AWAY, Kind.CHAIN}:
            target = web.target(place)
            where = web.spelled(target, origin(target.host, self.port), 0)
            transport.write(self.reply("302 Found", "", f"Location: {where}"))
        elif kind is Kind.GONE:
            transport.write(self.reply("404 Not Found", _text("gone")))
        else:
            _count(self.state.had.answers, place)
            key = f"Set-Cookie: key={place.number}; Path=/{web.name}/behind/{place.number}"
            page = self.reply("200 OK", self._html(place), *[key] * (kind is Kind.KEY))
            if kind is Kind.SLOW:
                loop = asyncio.get_running_loop()
                loop.call_later(SLOWNESS, _write_if_open, transport, page)
            else:
                transport.write(page)

    def _fail(self, kind: Kind, place: Place) -> None:
        transport = self.transport
        if kind is Kind.BUSY:
            transport.write(wire.reply("503 Service Unavailable", "", "Retry-After: 0"))
        elif kind is Kind.BROKEN:
            transport.write(wire.reply("500 Internal Server Error", "broken"))
        elif kind is Kind.RESET:
            transport.abort()
        else:
            html = self._html(place)
            transport.write(wire.reply("200 OK", html[: len(html) // 2], length=len(html)))
            transport.close()

    def _html(self, place: Place) -> str:
        web = self.state.web
        kind = web.kind(place)
        texts = "".join(f"<p>{text}</p>\n" for text in web.parts(place))
        links = "".join(self._link(place, k, to) for k, to in enumerate(web.links(place)))
        actions = {Kind.FORM: "post", Kind.ORDER: "order"}
        forms = (
            f'<form class={action} method=post action="/{web.name}/{action}/{place.number}">'
            "<input type=hidden name=n value=1></form>"
            for one, action in actions.items()
            if one is kind
        )
        ways = {Kind.KEY: "behind", Kind.TYPED: "typed"}
        on = (
            f'<a class={way} href="/{web.name}/{way}/{place.number}">x</a>'
            for one, way in ways.items()
            if one is kind
        )
        return (
            f"<html><body id={kind}><h1>{place}</h1>\n{texts}{''.join(forms)}"
            f"<nav>{links}</nav>{''.join(on)}</body></html>"
        )

    def _link(self, place: Place, number: int, to: Place) -> str:
        web = self.state.web
        how = web.draw("spelling", number, *place)
        where = web.spelled(to, origin(to.host, self.port), how)
        return f'<a href="{where.replace("&", "&amp;")}">{to}</a>\n'


def _count(counts: dict[str, int], place: Place) -> None:
    counts[str(place)] = counts.get(str(place), 0) + 1


def _text(text: str) -> str:
    return f"<html><body><p>{text}</p></body></html>"


def _write_if_open(transport: asyncio.Transport, data: bytes) -> None:
    if not transport.is_closing():
        transport.write(data)
