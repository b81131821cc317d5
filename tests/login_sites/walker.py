"""A client that knows what each answer is, as the site says: it gets exactly what is expected.

So a crawl that gets less, or needs more logins, is at fault itself, and not the site.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup, Tag

from tests.login_sites.design import Design
from tests.login_sites.pages import FIELDS, PASSWORD, USER
from tests.login_sites.site import STRANGER, LoginSite

MOST_TRIES = 4


class Walker:
    """Visits a site page by page. The site itself says whether it was a stranger's request."""

    def __init__(self, site: LoginSite) -> None:
        self.site = site
        self.texts: list[str] = []
        self.failed = 0
        self._http = requests.Session()
        self._http.trust_env = False

    def walk(self) -> None:
        """Log in and follow all links."""
        with self._http:
            self._log_in()
            addresses = list(map(self.site.number_url, self.site.design.seeds))
            for address in addresses:
                for link in self._visit(address):
                    if link not in addresses:
                        addresses.append(link)

    def _visit(self, address: str) -> list[str]:
        page = self._open(address)
        if page.url != address and self.site.name(page.url) in ("home", "login", "p0"):
            self.failed += self.site.name(address) not in ("old-home", "login")
            return []
        if page.status_code >= 400:
            self.failed += 1
            return []
        assert self.site.given[_serial(page)] != STRANGER
        self.texts.append(_text(page))
        return [link for link in _links(page) if self.site.name(link) not in ("exit", "logout")]

    def _open(self, address: str) -> requests.Response:
        for _ in range(MOST_TRIES):
            asked = self.site.counts.strangers
            page = self._http.get(address)
            if self.site.counts.strangers > asked:
                self._log_in()
            elif page.status_code != 500:
                break
        return page

    def _log_in(self) -> None:
        logins = self.site.logins
        for _ in range(MOST_TRIES):
            try:
                self._try_to_log_in()
            except requests.ConnectionError:
                continue
            if self.site.logins > logins or self.site.design.provider == "knows":
                return
        raise AssertionError("no login succeeds")

    def _try_to_log_in(self) -> None:
        user, password = FIELDS[self.site.design.fields]
        if self.site.design.api != "none":
            fields = {"user": USER, "password": PASSWORD}
            answer = self._http.post(self.site.login_url, json=fields)
            if answer.ok:
                self._http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
            return
        page = self._http.get(self.site.login_url)
        for fields in [{user: USER}, {password: PASSWORD}]:
            form = BeautifulSoup(page.text, "html.parser").select_one("form#login, form#response")
            if form is not None:
                page = self._submit(page, form, {user: USER, password: PASSWORD}, fields)

    def _submit(
        self, page: requests.Response, form: Tag, both: dict[str, str], step: dict[str, str]
    ) -> requests.Response:
        values = {str(i["name"]): str(i.get("value", "")) for i in form.select("input")}
        values |= step if self.site.design.steps == 2 else both
        return self._http.post(urljoin(page.url, str(form["action"])), data=values)


def _serial(page: requests.Response) -> int:
    if "json" in page.headers["Content-Type"]:
        return int(page.json()["serial"])
    body = BeautifulSoup(page.text, "html.parser").body
    assert body is not None
    return int(str(body["data-serial"]))


def _text(page: requests.Response) -> str:
    if "json" in page.headers["Content-Type"]:
        return str(page.json()["text"])
    text = BeautifulSoup(page.text, "html.parser").select_one("#text")
    return text.text if text else ""


def _links(page: requests.Response) -> Iterator[str]:
    if "json" in page.headers["Content-Type"]:
        paths = page.json()["links"]
    else:
        paths = [str(a["href"]) for a in BeautifulSoup(page.text, "html.parser").select("a")]
    yield from (urljoin(page.url, path) for path in paths)


def walk(design: Design) -> list[str]:
    """Walk through a site of this design; return what is wrong with it."""
    with LoginSite(design) as site:
        walker = Walker(site)
        try:
            walker.walk()
        except (AssertionError, requests.TooManyRedirects) as error:
            return [str(error)]
    texts = [text for text in walker.texts if text and not text.startswith("closed")]
    faults = []
    if sorted(texts) != sorted(design.text(number) for number in design.open_pages):
        faults.append(f"not the expected pages: {sorted(texts)}")
    if site.logins > site.logins_due or site.counts.wrong or site.counts.overrun:
        faults.append(f"not the expected logins: {site.counts}")
    closed = len(design.closed_pages)
    if design.closed_by in ("401", "403", "404", "500", "login") and walker.failed != closed:
        faults.append(f"{walker.failed} failed, not {closed}")
    return faults
