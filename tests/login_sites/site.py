"""A site behind a login, on loopback: it does what its design says, and counts."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import parse_qsl

from tests.login_sites.counts import Counts
from tests.login_sites.design import Design
from tests.login_sites.pages import DOOR_FIELDS, FIELDS, PASSWORD, USER, Pages
from tests.login_sites.provider import Provider
from tests.sites import Reply, Site, Visit, redirect

STRANGER, MEMBER, ANYBODY = "stranger", "member", "anybody"
"""To whom an answer was given; a public page is for anybody."""
REQUESTS_EACH = 40
"""Requests for each page after which a crawl is out of bounds: nothing is answered any more."""


@dataclass
class Ask:
    """One request, and the cookies of its answer."""

    visit: Visit
    name: str
    parameters: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    cookies: list[str] = field(default_factory=list)

    def set_cookie(self, name: str, value: str) -> None:
        """Set a cookie; an empty value deletes it."""
        age = "" if value else "; Max-Age=0"
        self.cookies.append(f"{name}={value}; Path=/; HttpOnly{age}")


class LoginSite:
    """Use it as a context manager. ``kill_at`` are counts of requests at which a crawl is killed.

    Each second kill comes before the site has done anything, the others after it, so that the
    answer is lost.
    """

    def __init__(self, design: Design, kill_at: Iterable[int] = ()) -> None:
        self.design = design
        self.pages = Pages(design)
        self.counts = Counts()
        self.given: dict[int, str] = {}
        """To whom each answer was given, by its serial number."""
        self.victim = 0
        """The process to be killed."""
        self.trouble = list(design.trouble)
        self._kill_at = list(kill_at)
        self._lock = threading.RLock()
        self._web = Site({"/robots.txt": self._robots}, otherwise=self._answer)
        self._provider: Provider | None = None
        self._elsewhere = Site(address="127.0.0.3", otherwise=lambda visit: "another site")
        self._members: dict[str, int] = {}
        """Pages that each session has had."""
        self._remembered: set[str] = set()
        self._tokens: dict[str, str] = {}
        """The token that is good in each stranger's session."""
        self._named: set[str] = set()
        """Strangers' sessions that have done the first of two steps."""
        self._ends = list(design.ends)
        self._ends_at = list(design.ends_at)
        self._codes: set[str] = set()
        """The addresses that are good once and still are."""
        self._failed: set[int] = set()
        """Pages whose address that is good once has failed, as the first one does."""
        self._numbers = iter(range(1, 10**9))
        self._handlers: dict[str, Callable[[Ask], Reply]] = {
            **{"login": self._login, "door": self._door, "password": self._second_step},
            **{"logout": self._log_out, "welcome": self._welcome, "exit": self._exit},
            **{"old-home": lambda ask: redirect(self.pages.path("home")), "once": self._good_once},
            **{"callback": self._callback, "expired": self._expired},
        }
        if design.form != "page":
            del self._handlers["login"]

    def __enter__(self) -> Self:
        self._web.__enter__()
        if self.design.strangers == "away":
            self._elsewhere.__enter__()
        if self.design.provider != "none":
            host, answer = self.design.provider_host, self.design.provider_answer
            self._provider = Provider(host, answer, self._lock)
            self._provider.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._provider is not None:
            self._provider.__exit__(*exc)
        if self.design.strangers == "away":
            self._elsewhere.__exit__(*exc)
        self._web.__exit__(*exc)

    # What a test asks

    def url(self, name: str) -> str:
        """Return the address of a page by its name."""
        return self._web.url + self.pages.path(name)

    def name(self, url: str) -> str:
        """Return the name of the page at ``url``; the whole URL if it is of another site."""
        path = url.removeprefix(self._web.url)
        return url if path == url else self.pages.name(path)[0]

    def number_url(self, number: int) -> str:
        """Return the address of a members' page by its number."""
        return self._web.url + self.pages.number_path(number)

    @property
    def login_url(self) -> str:
        """The page that has the form of the login."""
        return self._web.url + self.pages.login_path()

    @property
    def log(self) -> list[str]:
        """The requests in their order."""
        return [f"{v.method} {v.path} {v.headers.get('Cookie', '')}" for v in self._web.visits()]

    @property
    def flows(self) -> int:
        """Single sign-ons that were begun."""
        return self._provider.flows if self._provider else 0

    @property
    def logins_due(self) -> int:
        """The most logins that a crawl may need."""
        ended = 0 if self.design.provider == "knows" else self.counts.ended
        return 1 + ended + self.counts.kills

    @property
    def logins(self) -> int:
        """Logins that succeeded, at the site or at its provider."""
        return self.counts.done + (self._provider.done if self._provider else 0)

    # Answers

    def _answer(self, visit: Visit) -> Reply:
        with self._lock:
            self.counts.requests += 1
            self._kill_if_due(parity=0)
            name, parameters = self.pages.name(visit.path)
            ask = Ask(visit, name, parameters, dict(parse_qsl(visit.body.decode())))
            reply = self._route(ask)
            self._kill_if_due(parity=1)
            cookies = (("Set-Cookie", cookie) for cookie in ask.cookies)
            return Reply(reply.body, reply.status, (*reply.headers, *cookies), reply.raw)

    def _kill_if_due(self, parity: int) -> None:
        is_due = self._kill_at and self.counts.requests >= self._kill_at[0]
        if is_due and self.victim and self.counts.kills % 2 == parity:
            self._kill_at.pop(0)
            self.counts.kills += 1
            victim, self.victim = self.victim, 0
            os.kill(victim, signal.SIGKILL)

    def _route(self, ask: Ask) -> Reply:
        if self.counts.requests > 300 + REQUESTS_EACH * self.design.pages:
            self.counts.overrun = True
            return Reply("enough", 410)
        if ask.visit.method == "POST":
            return self._post(ask)
        if handler := self._handlers.get(ask.name):
            return handler(ask)
        number = 0 if ask.name == "home" else self._number(ask.name)
        if number is None:
            return self._note("Not found", "no such page", 404)
        return self._page(ask, number)

    def _number(self, name: str) -> int | None:
        number = name.removeprefix("old").removeprefix("p")
        return int(number) if number.isdigit() and int(number) < self.design.pages else None

    # Members' pages

    def _page(self, ask: Ask, number: int) -> Reply:
        design = self.design
        member = self._member(ask)
        if number in design.public:
            return self._give(ask, number, ANYBODY, member=bool(member))
        if member:
            self.counts.members += 1
            if self._ends_now(number, member):
                member = ""
        if not member:
            member, renewing = self._renew(ask)
            if renewing is not None:
                return renewing
        if not member:
            self.counts.strangers += 1
            return self._to_stranger(ask, number)
        self._use(ask, member)
        if ask.name.startswith("old"):
            return redirect(self.pages.path(f"p{number}"))
        if number in design.closed:
            self.counts.closed += 1
            return self._refuse(ask, number)
        if number in design.once:
            code = str(next(self._numbers))
            self._codes.add(code)
            return redirect(self.pages.path("once", c=code, n=str(number)))
        return self._give(ask, number, MEMBER, member=True)

    def _give(self, ask: Ask, number: int, to: str, *, member: bool) -> Reply:
        text = self.design.text(number)
        if number == 0 and not member and self.design.form == "front":
            return self._form_page(ask)
        return self._typed(self.pages.page(number, text, self._serial(to), member=member))

    def _good_once(self, ask: Ask) -> Reply:
        """Fail at first, by a status that is tried again; a second request finds it used up.

        The status is not 503, after which the crawl would leave the host alone for a while.
        """
        code, number = ask.parameters.get("c", ""), int(ask.parameters.get("n", 0))
        if not self._member(ask):
            return self._to_stranger(ask, number)
        if code not in self._codes:
            return Reply("this address was good once", 410)
        self._codes.remove(code)
        if number not in self._failed:
            self._failed.add(number)
            return Reply("broken", 500)
        return self._give(ask, number, MEMBER, member=True)

    def _refuse(self, ask: Ask, number: int) -> Reply:
        text = f"closed {number}"
        match self.design.closed_by:
            case "login":
                return redirect(self._login_path(ask.visit.path))
            case "home":
                return redirect(self.pages.path("home"))
            case "form":
                form = self.pages.form(back=ask.visit.path)
                return self._note("Log in as another user", form, member=True)
            case "message":
                main = f'<p id="text">{text}</p>'
                return self._note(f"Page {number}", main, member=True)
            case status:
                return self._note("Refused", text, int(status), member=True)

    # Strangers

    def _to_stranger(self, ask: Ask, number: int) -> Reply:
        self._name_stranger(ask)
        path, shown = ask.visit.path, self.design.strangers
        if number == 0 and self.design.form == "front":
            return self._form_page(ask)
        match shown:
            case "login":
                return redirect(self._login_path(path))
            case "chain":
                return redirect(self.pages.path("expired", next=path))
            case "bare login":
                return redirect(self._login_path(""))
            case "door":
                return redirect(self.pages.path("door", next=path))
            case "home":
                return redirect(self.pages.path("home"))
            case "away":
                return redirect(self._elsewhere.url + "/about-us")
            case "sso":
                return self._begin_flow(ask, path)
            case "form":
                return self._form_page(ask, back=path)
            case "error":
                return self._typed(json.dumps({"error": "unauthenticated"}))
        return self._show_stranger(ask, number)

    def _show_stranger(self, ask: Ask, number: int) -> Reply:
        log_in = self._login_path(ask.visit.path)
        match self.design.strangers:
            case "script":
                meta = f'<meta http-equiv="refresh" content="0; url={log_in}">'
                return Reply(f"<html><head>{meta}</head><body></body></html>")
            case "note":
                main = f'<p>This is for members. <a href="{log_in}">Log in</a></p>'
                return self._note("For members", main)
            case "teaser":
                text, links = "the rest is for members", False
            case "soft":
                text, links = "on request", True
            case status:
                return self._note("Sorry", "this is not for you", int(status))
        serial = self._serial(STRANGER)
        return self._typed(self.pages.page(number, text, serial, member=False, links=links))

    def _name_stranger(self, ask: Ask) -> None:
        """Give a stranger the cookie that the design says."""
        if ask.visit.cookies.get("sid", "") not in self._tokens:
            if self.design.anonymous == "always":
                self._new_stranger(ask)
            elif self.design.anonymous == "deleted" and "sid" in ask.visit.cookies:
                ask.set_cookie("sid", "")

    def _new_stranger(self, ask: Ask) -> str:
        sid = f"stranger-{next(self._numbers)}"
        self._tokens[sid] = ""
        ask.set_cookie("sid", sid)
        return sid

    # Login

    def _login_path(self, back: str) -> str:
        return self.pages.login_path(**({"next": back} if back else {}))

    def _login(self, ask: Ask) -> Reply:
        if self._provider is not None:
            return self._begin_flow(ask, ask.parameters.get("next", self.pages.path("home")))
        if self._member(ask) and self.design.again == "home":
            return redirect(self.pages.path("home"))
        if self._member(ask) and self.design.again == "notice":
            return self._note("Log in", "You are logged in already.", member=True)
        back = ask.parameters.get("next", "")
        if self.design.flow != "no" and "flow" not in ask.parameters:
            return redirect(self.pages.flow_path(str(next(self._numbers)), back))
        return self._form_page(ask, back=back)

    def _expired(self, ask: Ask) -> Reply:
        return redirect(self._login_path(ask.parameters.get("next", "")))

    def _robots(self, visit: Visit) -> Reply:
        """Treat robots.txt as a page for members that no rules are on."""
        with self._lock:
            ask = Ask(visit, "robots.txt", {})
            if self.design.robots == "missing" or self._member(ask):
                return Reply("no rules", 404)
            if self.design.robots == "login":
                return redirect(self._login_path(""))
            return self._note("Log in", self.pages.form())

    def _door(self, ask: Ask) -> Reply:
        if self._member(ask):
            return redirect(self.pages.path("home"))
        return self._note("Log in", self.pages.door(ask.parameters.get("next", "")))

    def _second_step(self, ask: Ask) -> Reply:
        if ask.visit.cookies.get("sid", "") not in self._named:
            return redirect(self._login_path(""))
        form = self.pages.form(step=2, token=self._token(ask))
        return self._note("Log in", form)

    def _form_page(self, ask: Ask, *, back: str = "", error: str = "") -> Reply:
        member = bool(self._member(ask))
        form = self.pages.form(token="" if member else self._token(ask), back=back, error=error)
        return self._note("Log in", form + self.pages.box(0, member=False), member=member)

    def _token(self, ask: Ask) -> str:
        """Return a token that is good for one attempt of this stranger, if the form has any."""
        if self.design.anonymous in ("never", "deleted"):
            return ""
        sid = ask.visit.cookies.get("sid", "")
        if sid not in self._tokens:
            sid = self._new_stranger(ask)
        if not self.design.token:
            return ""
        self._tokens[sid] = f"token-{next(self._numbers)}"
        return self._tokens[sid]

    def _post(self, ask: Ask) -> Reply:
        form = ask.fields.get("form", "")
        if ask.name == "callback":
            ask.parameters |= ask.fields
            return self._callback(ask)
        if self.design.api != "none" and ask.name == "login":
            ask.fields = json.loads(ask.visit.body)
            return self._try_login(ask, FIELDS["plain"])
        if form == "door":
            return self._try_login(ask, DOOR_FIELDS)
        user, password = FIELDS[self.design.fields]
        if password in ask.fields or (form == "login" and self.design.steps == 1):
            return self._try_login(ask, (user, password))
        if form == "login":
            return self._first_step(ask, user)
        return Reply("no such form", 405)

    def _first_step(self, ask: Ask, user: str) -> Reply:
        sid = ask.visit.cookies.get("sid", "")
        if sid not in self._tokens or ask.fields.get(user) != USER:
            return self._form_page(ask, error="Who is that?")
        self._named.add(sid)
        return redirect(self.pages.path("password"))

    def _try_login(self, ask: Ask, names: tuple[str, str]) -> Reply:
        self.counts.begun += 1
        if (trouble := self._next_trouble()) is not None:
            return trouble
        sid = ask.visit.cookies.get("sid", "")
        if self.design.token and "passphrase" not in names:
            token = self._tokens.get(sid, "")
            if not token or ask.fields.get("token") != token:
                return self._note("Page expired", "Please try again.", 419)
            self._tokens[sid] = ""
        given = [ask.fields.get(name) for name in names]
        if self.design.steps == 2 and sid in self._named and "passphrase" not in names:
            given[0] = USER
        if given != [USER, PASSWORD]:
            self.counts.wrong += 1
            return self._form_page(ask, error="Wrong name or password.")
        self.counts.done += 1
        return self._let_in(ask, ask.fields.get("next", ""))

    def _next_trouble(self) -> Reply | None:
        if not self.trouble:
            return None
        kind = self.trouble[0]
        if not kind.startswith("always "):
            self.trouble.pop(0)
        kind = kind.removeprefix("always ")
        if kind == "reset":
            return Reply(raw=lambda sock: sock.shutdown(socket.SHUT_RDWR))
        waits = (("Retry-After", "0"),) if kind in ("429", "503") else ()
        return Reply(f"trouble {kind}", int(kind), waits)

    def _let_in(self, ask: Ask, back: str) -> Reply:
        """Begin a session, and answer as to a right password."""
        sid = self._new_member(ask)
        if self.design.remember != "no":
            remembered = f"remembered-{next(self._numbers)}"
            self._remembered.add(remembered)
            ask.set_cookie("remember", remembered)
        if self.design.api != "none":
            return self._typed(json.dumps({"token": sid}))
        if self.design.answer == "200":
            return self._note("Welcome", f"Welcome, {USER}!", member=True)
        name = "home" if self.design.lands == "next" else self.design.lands
        path = back if self.design.lands == "next" and back else self.pages.path(name)
        return redirect(path, int(self.design.answer))

    def _welcome(self, ask: Ask) -> Reply:
        if not self._member(ask):
            return self._to_stranger(ask, 1)
        return self._note("Welcome", f"Welcome, {USER}!", member=True)

    def _log_out(self, ask: Ask) -> Reply:
        if self._member(ask):
            self.counts.logged_out += 1
            self._members.clear()
        return redirect(self.pages.path("home"))

    def _exit(self, ask: Ask) -> Reply:
        if self._member(ask):
            self._end()
        if self.design.exit == "login":
            return redirect(self._login_path(""))
        return self._note("Goodbye", "See you soon.")

    # Sessions

    def _member(self, ask: Ask) -> str:
        """Return the member's session of a request; empty for a stranger."""
        sid = ask.visit.cookies.get("sid", "")
        if self.design.api == "bearer":
            sid = ask.visit.headers.get("Authorization", "").removeprefix("Bearer ")
        return sid if sid in self._members else ""

    def _new_member(self, ask: Ask) -> str:
        sid = f"member-{next(self._numbers)}"
        if self.design.rotates == "never":
            sid = ask.visit.cookies.get("sid", "") or sid
        self._members = {sid: 0}  # a member has one session
        if self.design.api != "bearer":
            ask.set_cookie("sid", sid)
        return sid

    def _ends_now(self, number: int, member: str) -> bool:
        """End the sessions if that is due, though not at the page that a login leads to."""
        age, design = self._members[member], self.design
        is_due = bool(self._ends) and self.counts.members >= self._ends[0]
        if not age or not (is_due or number in self._ends_at or 0 < design.life <= age):
            return False
        if is_due:
            self._ends.pop(0)
        elif number in self._ends_at:
            self._ends_at.remove(number)
        self._end()
        return True

    def _end(self) -> None:
        self.counts.ended += 1
        self._members.clear()
        if self._provider is not None and self.design.provider == "forgets":
            self._provider.forget()

    def _renew(self, ask: Ask) -> tuple[str, Reply | None]:
        """Renew the session by the second cookie: the session, and an answer if that is all."""
        if ask.visit.cookies.get("remember", "") not in self._remembered:
            return "", None
        self.counts.renewed += 1
        sid = self._new_member(ask)
        return sid, redirect(ask.visit.path) if self.design.remember == "redirect" else None

    def _use(self, ask: Ask, member: str) -> None:
        """Count one more page of a member."""
        self._members[member] = self._members.get(member, 0) + 1
        if self.design.rotates == "page":
            pages = self._members.pop(member)
            sid = f"member-{next(self._numbers)}"
            self._members[sid] = pages
            ask.set_cookie("sid", sid)

    # Single sign-on

    def _begin_flow(self, ask: Ask, back: str) -> Reply:
        """Redirect to the provider. A session of a stranger has one flow at a time."""
        assert self._provider is not None
        state = f"state-{next(self._numbers)}"
        ask.set_cookie("flow", state)
        return redirect(self._provider.authorize(state, self.url("callback"), back))

    def _callback(self, ask: Ask) -> Reply:
        assert self._provider is not None
        state = ask.parameters.get("state", "")
        back = self._provider.redeem(ask.parameters.get("code", ""), state)
        if not state or ask.visit.cookies.get("flow") != state or back is None:
            return self._note("Sorry", "This login is too old.", 400)
        self._new_member(ask)
        return redirect(back)

    # Pages

    def _note(self, title: str, main: str, status: int = 200, *, member: bool = False) -> Reply:
        """Return a page that is not among the numbered ones."""
        serial = self._serial(MEMBER if member else STRANGER)
        if self.design.api != "none":
            return self._typed(json.dumps({"serial": serial, "error": title}), status)
        return self._typed(self.pages.frame(title, main, serial, member=member), status)

    def _typed(self, text: str, status: int = 200) -> Reply:
        kind = "application/json" if self.design.api != "none" else "text/html; charset=utf-8"
        return Reply(text, status, (("Content-Type", kind),))

    def _serial(self, to: str) -> int:
        serial = next(self._numbers)
        self.given[serial] = to
        return serial
