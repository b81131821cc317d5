"""The provider of a single sign-on: another host, which logs its users in for sites."""

from __future__ import annotations

import threading
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.login_sites.design import ProviderAnswer, ProviderHost
from tests.login_sites.pages import PASSWORD, USER
from tests.sites import Reply, Site, Visit, redirect


class Provider:
    """Use it as a context manager. It shares the lock of the site that it logs users in for."""

    def __init__(self, host: ProviderHost, answer: ProviderAnswer, lock: threading.RLock) -> None:
        """``host`` says by what its origin differs from that of the site."""
        address = "127.0.0.2" if host == "address" else "127.0.0.1"
        name = "localhost" if host == "name" else ""
        self._web = Site(address=address, name=name, otherwise=self._answer)
        self._sends_a_form = answer == "form"
        self._lock = lock
        self.flows = 0
        """Sign-ons that were begun."""
        self.done = 0
        """Logins that succeeded."""
        self.wrong = 0
        self._users: set[str] = set()
        self._codes: dict[str, tuple[str, str]] = {}
        """State and way back of each code, which is good once."""
        self._numbers = iter(range(1, 10**9))

    def __enter__(self) -> Self:
        self._web.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._web.__exit__(*exc)

    # For the site

    def authorize(self, state: str, callback: str, back: str) -> str:
        """Return the address at which a sign-on begins."""
        query = {"client": "club", "state": state, "callback": callback, "back": back}
        return f"{self._web.url}/authorize?{urlencode(query)}"

    def redeem(self, code: str, state: str) -> str | None:
        """Return the way back that a code stands for, once; None if it is not of ``state``."""
        good, back = self._codes.pop(code, ("", ""))
        return back if code and good == state else None

    def forget(self) -> None:
        """End the sessions of all users."""
        self._users.clear()

    # Answers

    def _answer(self, visit: Visit) -> Reply:
        with self._lock:
            parts = urlsplit(visit.path)
            query = dict(parse_qsl(parts.query))
            if parts.path == "/authorize":
                self.flows += 1
                return self._authorize(visit, query, parts.query)
            if parts.path == "/sign-in" and visit.method == "POST":
                return self._sign_in(visit)
            if parts.path == "/sign-in":
                return Reply(_form(query.get("flow", "")))
            if parts.path == "/resume":
                return self._authorize(visit, query, parts.query)
            return Reply("not found", 404)

    def _authorize(self, visit: Visit, query: dict[str, str], flow: str) -> Reply:
        if visit.cookies.get("psid", "") not in self._users:
            return redirect("/sign-in?" + urlencode({"flow": flow}))
        code = f"code-{next(self._numbers)}"
        self._codes[code] = query["state"], query["back"]
        if self._sends_a_form:
            return Reply(_response(query["callback"], code, query["state"]))
        separator = "&" if "?" in query["callback"] else "?"
        answer = urlencode({"code": code, "state": query["state"]})
        return redirect(f"{query['callback']}{separator}{answer}")

    def _sign_in(self, visit: Visit) -> Reply:
        fields: dict[str, Any] = dict(parse_qsl(visit.body.decode()))
        if (fields.get("user"), fields.get("password")) != (USER, PASSWORD):
            self.wrong += 1
            return Reply(_form(fields.get("flow", ""), "Wrong name or password."))
        self.done += 1
        psid = f"user-{next(self._numbers)}"
        self._users.add(psid)
        cookie = ("Set-Cookie", f"psid={psid}; Path=/; HttpOnly")
        return redirect(f"/resume?{fields['flow']}", 303, cookie)


def _form(flow: str, error: str = "") -> str:
    flow = flow.replace("&", "&amp;")
    note = f'<p class="error">{error}</p>' if error else ""
    return (
        f"<html><body data-serial=0><h1>Sign in</h1>{note}"
        '<form id="login" method="post" action="/sign-in">'
        f'<input type="hidden" name="flow" value="{flow}">'
        '<input name="user"><input type="password" name="password">'
        "<button>Sign in</button></form></body></html>"
    )


def _response(callback: str, code: str, state: str) -> str:
    """Return a page whose script would submit its form at once."""
    return (
        '<html><body data-serial=0 onload="document.forms[0].submit()">'
        f'<form id="response" method="post" action="{callback.replace("&", "&amp;")}">'
        f'<input type="hidden" name="code" value="{code}">'
        f'<input type="hidden" name="state" value="{state}">'
        "<noscript><button>Go on</button></noscript></form></body></html>"
    )
