"""Small likenesses of applications: their logins, cookies, tokens, redirects and marks.

Each shows the numbered pages to its member, at the addresses and in the markup of the application,
as far as a spider can tell. ``end_at`` is the number of the member's page before which the site
ends all sessions, once.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from tests.apps.member_site import MEMBER, fact, neighbours, page_name
from tests.apps.visitors import PASSWORD
from tests.sites import Reply, Site, Visit, redirect

CLOSED = "closed"
"""The name of a page that is closed to the member."""


@dataclass(frozen=True)
class Ask:
    """One request, read."""

    visit: Visit
    path: str
    query: dict[str, str]
    form: dict[str, str]
    member: bool


class Likeness:
    """A site behind a login; a context manager. Each application says how it looks."""

    cookie: ClassVar[str] = "session"

    def __init__(self, end_at: int = 0) -> None:
        self.logins = 0
        self._end_at = end_at
        self._sessions: set[str] = set()
        self._numbers = itertools.count(1)
        self._tokens = itertools.count(1)
        self.site = Site(otherwise=self._answer)

    def __enter__(self) -> Likeness:
        self.site.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self.site.__exit__(*exception)

    @property
    def url(self) -> str:
        """The origin."""
        return self.site.url

    def closed(self) -> list[str]:
        """Return the addresses of the pages that fail for the member."""
        return [self.url + self.address(CLOSED)]

    def _answer(self, visit: Visit) -> Reply | str:
        parts = urlsplit(visit.path)
        form = dict(parse_qsl(visit.body.decode(), keep_blank_values=True))
        member = visit.cookies.get(self.cookie) in self._sessions
        return self.answer(Ask(visit, parts.path, dict(parse_qsl(parts.query)), form, member))

    # Parts of the answers

    def page(self, ask: Ask, name: str, show: Callable[[str, str], str]) -> Reply | str:
        """Return a member's page by its name; the sessions end before page ``end_at``."""
        if name == CLOSED:
            return Reply(show(name, "You are not allowed to see this page."), 403)
        if not name.startswith("page"):
            return Reply(show(name, "There is no such page."), 404)
        if next(self._numbers) == self._end_at:
            self._sessions.clear()
            return self._answer(ask.visit)
        targets = [*map(page_name, neighbours(int(name[4:]))), CLOSED]
        links = " ".join(
            f'<a class="page" href="{html.escape(self.address(target))}">{target}</a>'
            for target in targets
        )
        return show(name, f"<p>{html.escape(fact(int(name[4:])))}</p><p>{links}</p>")

    def begin(
        self, to: str, form: dict[str, str], user: str, password: str, token: str
    ) -> Reply | None:
        """Return the redirect of a login, with its cookie; None if a field's value is not right."""
        if (form.get(user), form.get(password)) != (MEMBER, PASSWORD) or not form.get(token):
            return None
        return self.welcome(to)

    def welcome(self, to: str) -> Reply:
        """Return the redirect after a login, with a new session."""
        self.logins += 1
        session = f"s{self.logins}"
        self._sessions.add(session)
        return redirect(to, 302, ("Set-Cookie", f"{self.cookie}={session}; Path=/; HttpOnly"))

    def token(self) -> str:
        """Return a token against forgery."""
        return f"t0ken{next(self._tokens)}"

    # Each application has its own

    def answer(self, ask: Ask) -> Reply | str:
        """Answer a request."""
        raise NotImplementedError

    def address(self, name: str) -> str:
        """Return the path and query of a page."""
        raise NotImplementedError


class MediaWiki(Likeness):
    """A private wiki: strangers get a page with a link to the form, at the same address."""

    cookie = "wiki_session"

    def address(self, name: str) -> str:
        return f"/index.php?title={name.capitalize()}"

    def answer(self, ask: Ask) -> Reply | str:
        title = ask.form.get("title") or ask.query.get("title", "")
        if title == "Special:UserLogin":
            back = self.address(ask.form.get("returnto") or "Page00")
            if reply := self.begin(back, ask.form, "wpName", "wpPassword", "wpLoginToken"):
                return reply
            return f"""<form name="userlogin" method="post" action="/index.php">
                <input name="wpName"><input name="wpPassword" type="password">
                <input type="hidden" name="title" value="Special:UserLogin">
                <input type="hidden" name="authAction" value="login">
                <input type="hidden" name="wpLoginToken" value="{self.token()}+\\">
                <button name="wploginattempt" value="Log in">Log in</button></form>"""
        if not ask.member:
            link = f"/index.php?title=Special:UserLogin&amp;returnto={quote(title)}"
            return f'<title>Login required</title><p>Please <a href="{link}">log in</a>.</p>'
        return self.page(ask, title.lower(), self._show)

    def _show(self, name: str, body: str) -> str:
        here = html.escape(self.address(name))
        return f"""<li id="pt-logout"><a href="/index.php?title=Special:UserLogout">Log out</a></li>
            <h1 id="firstHeading">{name.capitalize()}</h1>
            <div id="mw-content-text">{body}</div>
            <a href="{here}&amp;action=history">History</a>
            <a href="{here}&amp;action=edit">Edit</a>
            <a href="/index.php?title=Special:RecentChanges">Recent changes</a>"""


class WordPress(Likeness):
    """A blog with private posts: to strangers they are missing. The form wants its test cookie."""

    cookie = "wordpress_logged_in_5e1f"

    def address(self, name: str) -> str:
        return f"/{name}/"

    def answer(self, ask: Ask) -> Reply | str:
        if ask.path == "/wp-login.php":
            tested = "wordpress_test_cookie" in ask.visit.cookies
            to = ask.form.get("redirect_to", "/wp-admin/")
            if tested and (reply := self.begin(to, ask.form, "log", "pwd", "testcookie")):
                return reply
            back = html.escape(ask.query.get("redirect_to", "/wp-admin/"))
            return Reply(
                f"""<body class="login"><form id="loginform" action="/wp-login.php" method="post">
                <input name="log"><input name="pwd" type="password">
                <input name="rememberme" type="checkbox" value="forever">
                <input type="hidden" name="redirect_to" value="{back}">
                <input type="hidden" name="testcookie" value="1">
                <input type="submit" name="wp-submit" value="Log In"></form>""",
                headers=(("Set-Cookie", "wordpress_test_cookie=WP%20Cookie%20check; path=/"),),
            )
        if ask.path.startswith("/wp-admin/"):
            if not ask.member:
                return redirect(
                    f"/wp-login.php?{urlencode({'redirect_to': ask.path, 'reauth': 1})}"
                )
            return self._show("Dashboard", "<p>Welcome.</p>")
        if not ask.member:
            return Reply('<body class="error404"><h1>Page not found</h1>', 404)
        return self.page(ask, ask.path.strip("/"), self._show)

    def _show(self, name: str, body: str) -> str:
        return f"""<body class="single logged-in admin-bar">
            <a href="/wp-login.php?action=logout&amp;_wpnonce={self.token()}">Log Out</a>
            <a href="/wp-admin/post.php?post=1&amp;action=edit">Edit</a>
            <article><h1 class="entry-title">{name}</h1>
            <div class="entry-content">{body}</div></article>
            <a href="{self.address(name)}?replytocom=3#respond">Reply</a>"""


class Redmine(Likeness):
    """A tracker: strangers are sent to the form, with the address to come back to."""

    cookie = "_redmine_session"

    def address(self, name: str) -> str:
        return f"/issues/{name}"

    def answer(self, ask: Ask) -> Reply | str:
        if ask.path == "/login":
            if ask.member:
                return redirect("/my/page")
            to = ask.form.get("back_url") or "/my/page"
            fields = ("username", "password", "authenticity_token")
            if reply := self.begin(to, ask.form, *fields):
                return reply
            back = html.escape(ask.query.get("back_url", ""))
            return f"""<div id="login-form"><form action="/login" method="post">
                <input type="hidden" name="authenticity_token" value="{self.token()}==">
                <input type="hidden" name="back_url" value="{back}">
                <input name="username"><input name="password" type="password">
                <input type="submit" name="login" value="Login"></form></div>"""
        if not ask.member:
            return redirect(f"/login?{urlencode({'back_url': self.url + ask.visit.path})}")
        if ask.path == "/my/page":
            return self._show("My page", "")
        return self.page(ask, ask.path.rpartition("/")[2], self._show)

    def _show(self, name: str, body: str) -> str:
        return f"""<div id="loggedas">Logged in as <a href="/users/5">{MEMBER}</a></div>
            <a class="logout" rel="nofollow" data-method="post" href="/logout">Sign out</a>
            <div id="content"><div class="subject"><h3>{name}</h3></div>
            <div class="wiki">{body}</div></div>
            <a href="/issues/{name}.pdf">PDF</a>
            <a href="/issues/{name}/time_entries/new">Log time</a>
            <a data-method="post" href="/watchers/watch?object_id=3">Watch</a>"""


class PhpBB(Likeness):
    """A forum: strangers get the form with status 200 at each address, and addresses with `sid`."""

    cookie = "phpbb3_sid"

    def address(self, name: str) -> str:
        return f"/viewtopic.php?t={name}"

    def answer(self, ask: Ask) -> Reply | str:
        if ask.query.get("mode") == "login" or not ask.member:
            to = ask.form.get("redirect", "index.php").lstrip("./")
            if reply := self.begin(f"/{to}", ask.form, "username", "password", "form_token"):
                return reply
            target = html.escape(ask.visit.path if "t" in ask.query else "./index.php")
            return f"""<form action="/ucp.php?mode=login" method="post" id="login">
                <input name="username"><input name="password" type="password">
                <input type="checkbox" name="autologin"><input type="checkbox" name="viewonline">
                <input type="hidden" name="redirect" value="{target}">
                <input type="hidden" name="creation_time" value="1700000000">
                <input type="hidden" name="form_token" value="{self.token()}">
                <input type="hidden" name="sid" value="{self.token()}">
                <input type="submit" name="login" value="Login"></form>"""
        if ask.path == "/index.php":
            return self._show("Board index", "")
        return self.page(ask, ask.query.get("t", ""), self._show)

    def _show(self, name: str, body: str) -> str:
        here = html.escape(self.address(name))
        return f"""<a href="/ucp.php?mode=logout&amp;sid={self.token()}">Logout [ {MEMBER} ]</a>
            <h2 class="topic-title">{name}</h2><div class="content">{body}</div>
            <a href="{here}&amp;view=print">Print</a> <a href="{here}&amp;view=next">Next</a>
            <a href="/posting.php?mode=reply&amp;t={name}">Reply</a>
            <a href="/viewforum.php?f=2&amp;hash={self.token()}&amp;mark=topics">Mark read</a>"""


class Provider(Likeness):
    """A provider of identities, on a host of its own."""

    cookie = "AUTH_SESSION"

    def __init__(self) -> None:
        super().__init__()
        self.site.address = "127.0.0.2"
        self.codes: set[str] = set()

    def address(self, name: str) -> str:
        return f"/{name}"

    def answer(self, ask: Ask) -> Reply | str:
        to = ask.query.get("redirect_uri", "")
        if ask.path == "/authorize" and ask.member:
            code = self.token()
            self.codes.add(code)
            return redirect(f"{to}?{urlencode({'code': code, 'state': ask.query['state']})}")
        sent = {**ask.query, **ask.form}
        back = f"/authorize?{urlencode(ask.query)}"
        if reply := self.begin(back, sent, "username", "password", "session_code"):
            return reply
        action = f"/authenticate?{urlencode({**ask.query, 'session_code': self.token()})}"
        return f"""<form id="kc-form-login" method="post" action="{html.escape(action)}">
            <input name="username"><input name="password" type="password">
            <input type="hidden" name="credentialId"><input type="submit" name="login"></form>"""


class SingleSignOn(Likeness):
    """An application without a form: strangers are sent to the provider."""

    def __init__(self, end_at: int = 0) -> None:
        super().__init__(end_at)
        self.provider = Provider()
        self._flows: dict[str, str] = {}
        """The addresses at which flows were begun, by their state."""

    def __enter__(self) -> Likeness:
        self.provider.__enter__()
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        super().__exit__(*exception)
        self.provider.__exit__(*exception)

    def address(self, name: str) -> str:
        return f"/reports/{name}"

    def answer(self, ask: Ask) -> Reply | str:
        if ask.path == "/callback" and ask.query.get("code") in self.provider.codes:
            back = self._flows.pop(ask.query["state"])
            return self.welcome(back)
        if not ask.member:
            state = self.token()
            self._flows[state] = ask.visit.path
            asked = {"client_id": "app", "redirect_uri": f"{self.url}/callback", "state": state}
            return redirect(f"{self.provider.url}/authorize?{urlencode(asked)}")
        return self.page(ask, ask.path.rpartition("/")[2], self._show)

    def _show(self, name: str, body: str) -> str:
        return f"""<a href="/logout">Sign out</a><h1>{name}</h1><main>{body}</main>"""
