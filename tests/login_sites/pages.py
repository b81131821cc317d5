"""The pages of a site behind a login, as HTML or JSON."""

from __future__ import annotations

import json
from html import escape
from urllib.parse import urlencode

from tests.login_sites.addresses import name_of, path_of
from tests.login_sites.design import Design

USER, PASSWORD = "ada", "sesame-4711"
FIELDS = {"plain": ("user", "password"), "brackets": ("auth[user]", "auth[password]")}
"""The names of the login's fields."""
DOOR_FIELDS = ("email", "passphrase")
"""The names of the fields of the other login page."""


class Pages:
    """Writes the pages of one design. ``serial`` is the number of an answer, on each page."""

    def __init__(self, design: Design) -> None:
        self.design = design

    def path(self, name: str, **parameters: str) -> str:
        """Return the address of a page by its name."""
        return path_of(self.design.address, name, **parameters)

    def number_path(self, number: int) -> str:
        """Return the address of a members' page by its number."""
        return self.path("home" if number == 0 else f"p{number}")

    def name(self, path: str) -> tuple[str, dict[str, str]]:
        """Return the name of the page at an address, and its other parameters."""
        before, mark, rest = path.partition("/flow/")
        flow, _, query = rest.partition("?")
        name, parameters = name_of(self.design.address, before + (f"?{query}" if mark else ""))
        return ("login", {**parameters, "flow": flow}) if mark else (name, parameters)

    def flow_path(self, flow: str, back: str) -> str:
        """Return the address of the login page for one visit."""
        parameters = {"next": back} if back else {}
        if self.design.flow == "query":
            return self.login_path(flow=flow, **parameters)
        return f"/flow/{flow}" + (f"?{urlencode(parameters)}" if parameters else "")

    def login_path(self, **parameters: str) -> str:
        """Return the address of the page that has the form of the login."""
        return self.path("login" if self.design.form == "page" else "home", **parameters)

    # Whole pages

    def page(self, number: int, text: str, serial: int, *, member: bool, links: bool = True) -> str:
        """Return the page ``number`` with ``text``, all its links or only some."""
        targets = self._targets(number)
        shown = targets if links else targets[:1]
        if self.design.api != "none":
            content = {"serial": serial, "text": text, "links": shown}
            return json.dumps(content)
        anchors = "".join(f'<a href="{escape(target)}">more</a>\n' for target in shown)
        box = self.box(number, member=member)
        return self.frame(
            f"Page {number}", f'<p id="text">{text}</p>\n{anchors}{box}', serial, member=member
        )

    def frame(self, title: str, main: str, serial: int, *, member: bool) -> str:
        """Return a page with what stands around each text."""
        return (
            f"<html><head><title>{title}</title></head><body data-serial={serial}>\n"
            f"<header>A club {self._account(member)}</header>\n"
            f"<main><h1>{title}</h1>\n{main}</main>\n{self._sidebar(member)}</body></html>"
        )

    def form(self, *, step: int = 1, token: str = "", back: str = "", error: str = "") -> str:
        """Return the login's form, for all or for the first or second of two steps."""
        user, password = FIELDS[self.design.fields]
        inputs = [f'<input name="{user}">', f'<input type="password" name="{password}">']
        shown = inputs if self.design.steps == 1 else [inputs[step - 1]]
        action = self.login_path() if step == 1 else self.path("password")
        return self._form("login", action, shown, token=token, back=back, error=error)

    def door(self, back: str) -> str:
        """Return the form of the other login page."""
        user, password = DOOR_FIELDS
        shown = [f'<input name="{user}">', f'<input type="password" name="{password}">']
        return self._form("door", self.path("door"), shown, back=back)

    def box(self, number: int, *, member: bool) -> str:
        """Return a form with a password that does not log in, on the pages that have it."""
        if self.design.box == "everywhere":
            action, name = "/partner", "partner"
        elif self.design.box == "one page" and number == 3 and member:
            action, name = "/change", "change"
        else:
            return ""
        inputs = ['<input type="password" name="old">', '<input type="password" name="new">']
        return f'<form id="{name}" method="post" action="{action}">{"".join(inputs)}</form>\n'

    # Parts of pages

    def _targets(self, number: int) -> list[str]:
        design = self.design
        prefix = "old" if design.moved else "p"
        targets = [self.path(f"{prefix}{target}") for target in design.links(number)]
        targets.append(self.path("home"))
        targets += [self.path("old-home")] * design.home_link
        return targets

    def _account(self, member: bool) -> str:
        frame = self.design.frame
        leave = f'<a href="{self.path("exit")}">Leave</a>' if self.design.exit != "none" else ""
        if frame == "none":
            return leave if member else ""
        if frame == "name":
            return f"Hello, {USER if member else 'guest'} {leave if member else ''}"
        log_in = f'<a class="login" href="{escape(self.login_path())}">Log in</a>'
        if not member:
            return log_in
        log_out = f'<a class="logout" href="{escape(self.path("logout"))}">Log out</a>'
        if frame == "form":
            log_out = (
                f'<form class="logout" method="post" action="{self.path("logout")}">'
                "<button>Log out</button></form>"
            )
        return f"{USER} {log_out} {log_in * self.design.login_link} {leave}"

    def _sidebar(self, member: bool) -> str:
        is_shown = self.design.form == "sidebar" and not member
        return f"<aside>{self.form()}</aside>\n" if is_shown else ""

    def _form(
        self,
        name: str,
        action: str,
        inputs: list[str],
        *,
        token: str = "",
        back: str = "",
        error: str = "",
    ) -> str:
        hidden = {"form": name, "token": token, "next": back}
        fields = [
            f'<input type="hidden" name="{key}" value="{escape(value)}">'
            for key, value in hidden.items()
            if value
        ]
        note = f'<p class="error">{error}</p>' if error else ""
        return (
            f'{note}<form id="{name}" method="post" action="{escape(action)}">'
            f"{''.join([*fields, *inputs])}<button>Log in</button></form>"
        )
