"""The sites behind a login that are crawled as tests, by the kind of what is difficult about them.

Most have broken a crawler in the field. The letters and numbers at the beginning of a name are
those of the collected cases.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from tests.login_sites.crawls import KILLS, Plan
from tests.login_sites.design import Design

GUIDED = {"login", "bare login", "door"}
"""Answers to strangers that the check of the guide recognises: by the address of the login."""
TWICE = (7, 16)
"""Requests of members before whose answer sessions end."""


@dataclass(frozen=True, slots=True)
class Case:
    """A site, and the spider that a user would write for it."""

    design: Design
    spider: str = "Member"
    settings: dict[str, Any] = field(default_factory=dict)

    def plans(self, name: str) -> Iterator[tuple[str, Plan]]:
        """Yield each way to crawl the site with its name.

        The default has it crawled at three concurrencies and with kills. A check of the spider's
        own is the guide's where that can work, and the one for a member's mark elsewhere, or where
        closed pages have no address of a login.
        """
        for concurrency in (1, 4, 16):
            yield str(concurrency), Plan(self.spider, concurrency, settings=self.settings)
        kill_at = kills_of(name, self.design.pages)
        yield "kills", Plan(self.spider, 4, kill_at, self.settings)
        by_address = self._is_guided
        if by_address:
            yield "guided", Plan("Guided", 4, settings=self.settings)
        if by_address and (not self.design.closed or self.design.closed_by == "login"):
            return
        if self.spider == "Member" and self.design.frame in ("link", "form"):
            yield "positive", Plan("Positive", 4, settings=self.settings)

    @property
    def _is_guided(self) -> bool:
        """Return True if the address alone tells a page of the login from others."""
        design = self.design
        return (
            (self.spider, design.form) == ("Member", "page")
            and design.strangers in GUIDED
            and design.answer != "200"
            and design.flow != "path"
            and not design.login_link
        )


def kills_of(name: str, pages: int) -> tuple[int, ...]:
    """Return the counts of requests at which a crawl is killed, all before its end."""
    chance, at, kills = Random(name), 0, []
    for _ in range(KILLS):
        at += chance.randint(1, max(2, pages // (KILLS + 1)))
        kills.append(at)
    return tuple(kills)


def _fifths(pages: int) -> tuple[int, ...]:
    return tuple(range(4, pages, 5))


_MIXED = tuple(sorted(Random("mixed").sample(range(30, 61), 20)))

ENTRANCES = {
    "A1 front controller": Case(Design(address="front controller", pages=6)),
    "A1 front controller, many pages": Case(Design(address="front controller", ends=TWICE)),
    "A1 answered 200": Case(Design(address="front controller", answer="200")),
    "A1 pages have moved": Case(Design(address="front controller", moved=True, ends=TWICE)),
    "A1 query": Case(Design(address="query", answer="303", ends=TWICE)),
    "A1 wiki": Case(Design(address="wiki", lands="next", ends=TWICE)),
    "A9 fields with brackets": Case(Design(fields="brackets"), "Named"),
    "A14 form on the front page": Case(
        Design(form="front", answer="303", home_link=True, pages=13, ends=(5,))
    ),
    "A14 form on the front page, answered 200": Case(
        Design(form="front", answer="200", home_link=True, ends=TWICE)
    ),
    "A14 form in the sidebar": Case(
        Design(form="sidebar", answer="303", strangers="teaser", home_link=True, ends=TWICE)
    ),
    "A14 form in the sidebar, front controller": Case(
        Design(form="sidebar", address="front controller", strangers="note", ends=TWICE)
    ),
    "A15 another login page": Case(Design(strangers="door", ends=TWICE)),
    "A15 another login page, fields with brackets": Case(
        Design(strangers="door", fields="brackets", frame="name", ends=TWICE)
    ),
    "A15 name first": Case(Design(steps=2, ends=TWICE), "TwoSteps"),
    "A15 name first, shown at each page": Case(
        Design(steps=2, strangers="form", ends=TWICE), "TwoSteps"
    ),
    "A15 name first, front controller": Case(
        Design(steps=2, address="front controller", ends=TWICE), "TwoSteps"
    ),
    "A16 503 once": Case(Design(trouble=("503",))),
    "A16 500 once": Case(Design(trouble=("500",))),
    "A16 429 once": Case(Design(trouble=("429",))),
    "A16 reset once": Case(Design(trouble=("reset",))),
    "A16 503 twice, after the session has ended": Case(
        Design(trouble=("503", "503"), ends=TWICE, token=True)
    ),
    "S3 the form has expired": Case(Design(trouble=("419",), token=True)),
    "robots.txt is for members": Case(Design(robots="login", ends=TWICE)),
    "robots.txt is the login page": Case(Design(robots="form", strangers="form", ends=TWICE)),
    "each login has an address": Case(Design(flow="query", token=True, ends=TWICE)),
    "each login has a path": Case(Design(flow="path", token=True, ends=TWICE)),
    "each login has an address, front controller": Case(
        Design(flow="query", address="front controller", ends=TWICE)
    ),
    "the home page has the form, and all pages its path": Case(
        Design(form="sidebar", address="query", strangers="soft", once=(8, 11), moved=True)
    ),
    "the home page has the form, and a session is renewed by a redirect": Case(
        Design(form="sidebar", address="query", strangers="form", remember="redirect", ends=TWICE)
    ),
    "each login has a path, and pages are closed": Case(
        Design(flow="path", closed=(5, 9, 14), closed_by="login", ends=TWICE)
    ),
    "each login has an address, and pages are closed": Case(
        Design(flow="query", address="wiki", closed=(5, 9, 14), closed_by="login", ends=TWICE)
    ),
    "begins with a closed page": Case(Design(seeds=(5, 0), closed=(5, 9))),
    "begins with a page that leads to the login page": Case(
        Design(seeds=(5, 0), closed=(5, 9), closed_by="login", ends=TWICE)
    ),
    "begins with a page for all": Case(Design(seeds=(5, 0), public=(5, 0, 7), ends=TWICE)),
    "token": Case(Design(token=True, ends=TWICE)),
    "lands at a welcome": Case(Design(lands="welcome", ends=TWICE)),
    "lands at the login page, a notice": Case(
        Design(lands="login", again="notice", login_link=True, ends=TWICE)
    ),
    "the login page shows its form to members": Case(
        Design(again="form", login_link=True, ends=TWICE)
    ),
    "a page to change the password": Case(Design(box="one page", ends=TWICE)),
    "a box with a password everywhere": Case(Design(box="everywhere", ends=TWICE)),
    "posted": Case(Design(ends=TWICE), "Posting"),
}


def _ended(**parameters: Any) -> Case:
    return Case(Design(**{"ends": TWICE, **parameters}))


ENDS = {
    "plain": _ended(),
    "bare": _ended(strangers="bare login"),
    "A6 at one page, twice": _ended(ends=(), ends_at=(5, 5), public=(0, 1)),
    "A6 at one page, twice, 401": _ended(ends=(), ends_at=(5, 5), public=(0, 1), strangers="401"),
    "A6 at one page, twice, 403": _ended(ends=(), ends_at=(5, 5), public=(0, 1), strangers="403"),
    "A6 at one page, twice, the form": _ended(
        ends=(), ends_at=(5, 5), public=(0, 1), strangers="form"
    ),
    "A6 at one page, three times": _ended(ends=(), ends_at=(5, 5, 5)),
    "A6 at the last page, three times, the form": _ended(
        ends=(), ends_at=(23, 23, 23), strangers="form"
    ),
    "A6 at the page that a login leads to, a box everywhere": _ended(
        address="wiki", form="sidebar", box="everywhere", strangers="form", ends=(16, 17)
    ),
    "A7 404": _ended(strangers="404"),
    "A7 404, no marks": _ended(strangers="404", frame="none"),
    "A7 404, front controller": _ended(strangers="404", address="front controller", frame="name"),
    "A7 teaser": _ended(strangers="teaser"),
    "A7 teaser, the account's name": _ended(strangers="teaser", frame="name"),
    "A7 soft": _ended(strangers="soft"),
    "A7 soft, a form logs out": _ended(strangers="soft", frame="form"),
    "A7 soft, some pages are for all": _ended(strangers="soft", frame="name", public=(2, 5, 9)),
    "a note": _ended(strangers="note"),
    "a note, the account's name": _ended(strangers="note", frame="name"),
    "a note, no marks": _ended(strangers="note", frame="none"),
    "a note, the account's name, typed first": Case(
        Design(strangers="note", frame="name", steps=2, ends=TWICE), "TwoSteps"
    ),
    "a redirect by meta": _ended(strangers="script"),
    "a redirect by meta, no marks": _ended(strangers="script", frame="none"),
    "a redirect by way of another page": _ended(strangers="chain"),
    "401": _ended(strangers="401"),
    "403": _ended(strangers="403"),
    "419": _ended(strangers="419"),
    "440": _ended(strangers="440", frame="name"),
    "A8 posted, the form at each page": Case(
        Design(strangers="form", address="wiki", ends=TWICE), "Posting"
    ),
    "S1 the form at each page": _ended(strangers="form"),
    "S1 the form at each page, no marks": _ended(strangers="form", frame="none"),
    "S1 the form at each page, front controller": _ended(
        strangers="form", address="front controller", token=True
    ),
    "S1 the form at each page, and a box everywhere": _ended(strangers="form", box="everywhere"),
    "S1 the form at each page, and one to change the password": _ended(
        strangers="form", box="one page"
    ),
    "S4 exit": _ended(ends=(), exit="login"),
    "S4 exit, a farewell": _ended(ends=(), exit="bye"),
    "S4 exit, the form at each page": _ended(ends=(), exit="bye", strangers="form"),
    "X1 to the home page": _ended(strangers="home", public=(0,), home_link=True),
    "X1 to the home page, the account's name": _ended(
        strangers="home", public=(0,), home_link=True, frame="name"
    ),
    "X1 to the home page, no marks": _ended(
        address="front controller",
        strangers="home",
        public=(0,),
        home_link=True,
        frame="none",
        token=True,
    ),
    "X1 to another site": _ended(strangers="away"),
    "X1 to another site, the home page is for all": _ended(strangers="away", public=(0, 3)),
    "X15 ten pages each": _ended(ends=(), life=10, pages=40),
    "X15 ten pages each, 401": _ended(ends=(), life=10, pages=40, strangers="401"),
    "X15 ten pages each, the form at each page": _ended(
        ends=(), life=10, pages=40, strangers="form"
    ),
    "X15 ten pages each, no marks, the form at each page": _ended(
        ends=(), life=10, frame="none", strangers="form"
    ),
    "X15 ten pages each, the pages have moved, 419": _ended(
        ends=(), life=10, frame="name", moved=True, strangers="419"
    ),
    "remembered": _ended(remember="silent"),
    "remembered, and S4 exit, a farewell": _ended(ends=(), exit="bye", remember="silent"),
    "remembered by a redirect, and closed pages lead to the home page": _ended(
        remember="redirect", frame="none", closed=(10, 11, 12, 13), closed_by="home", ends=(12, 19)
    ),
    "remembered by a redirect": _ended(remember="redirect"),
    "the cookie changes with each page": _ended(rotates="page"),
    "the cookie never changes": _ended(rotates="never"),
    "strangers have a session": _ended(anonymous="always", token=True),
    "strangers' cookies are deleted": _ended(anonymous="deleted"),
    "strangers' cookies are deleted, 403": _ended(anonymous="deleted", strangers="403"),
    "S2 an API, 401": Case(Design(api="bearer", strangers="401", ends=TWICE), "Api"),
    "S2 an API, an error with status 200": Case(
        Design(api="cookie", strangers="error", ends=TWICE), "Declared"
    ),
    "S2 an API, an error with status 200, a token": Case(
        Design(api="bearer", strangers="error", ends=TWICE), "Declared"
    ),
}


def _closed(pages: int = 61, **parameters: Any) -> Case:
    return Case(Design(pages=pages, **parameters))


_WHERE = {"a block": tuple(range(32, 61)), "every fifth": _fifths(61), "mixed": _MIXED}

CLOSED = {
    "A4 one": _closed(22, closed=(5,)),
    "A4 the last": _closed(22, closed=(21,), closed_by="login"),
    **{
        f"A5 {where}, {by}": _closed(closed=closed, closed_by=by, frame=frame)
        for where, closed in _WHERE.items()
        for by, frame in (("403", "link"), ("login", "name"))
    },
    "A5 mixed, 404": _closed(closed=_MIXED, closed_by="404"),
    "A5 mixed, to the home page": _closed(closed=_MIXED, closed_by="home"),
    "A5 mixed, 401": _closed(closed=_MIXED, closed_by="401"),
    "A5 mixed, 401, and strangers get it too": _closed(
        closed=_MIXED, closed_by="401", ends=(9, 30), strangers="401"
    ),
    "A5 mixed, 500": _closed(22, closed=(7, 12), closed_by="500", ends=(9,)),
    "A5 mixed, the form": _closed(closed=_MIXED, closed_by="form"),
    "A5 mixed, a message": _closed(closed=_MIXED, closed_by="message"),
    "A5 mixed, the login page shows its form": _closed(
        closed=_MIXED, closed_by="login", again="form"
    ),
    "A5 every fifth, and sessions end": _closed(closed=_fifths(61), ends=(9, 30)),
    "A5 every fifth, and sessions end, strangers get 403 too": _closed(
        closed=_fifths(61), ends=(9, 30), strangers="403"
    ),
    "A5 every fifth, and sessions end, strangers get 404 too": _closed(
        closed=_fifths(61), closed_by="404", ends=(9, 30), strangers="404"
    ),
    "A5 mixed, the form, and strangers get it too": _closed(
        closed=_MIXED, closed_by="form", ends=(9, 30), strangers="form"
    ),
    "A5 mixed, to the login page, and sessions end": _closed(
        closed=_MIXED, closed_by="login", ends=(9, 30)
    ),
    "A12 the only other page, 403": _closed(2, closed=(1,)),
    "A12 the only other page, to the login page": _closed(2, closed=(1,), closed_by="login"),
    "A12 no marks, to the login page": _closed(
        18, closed=(16,), closed_by="login", strangers="teaser", frame="none", again="form"
    ),
    "A12 an API, the first pages": Case(
        Design(api="bearer", public=(0,), closed=(1, 2, 3, 8), strangers="401", ends=(9,)), "Api"
    ),
    "the login page shows its form, and all pages link to it": _closed(
        17, closed=(4, 9, 14), closed_by="login", again="form", login_link=True, lands="welcome"
    ),
    "A12 front controller": _closed(2, closed=(1,), closed_by="login", address="front controller"),
    "A12 the home page is for all": _closed(8, closed=(1, 2), closed_by="login", public=(0,)),
}

_SSO = Design(provider="forgets", strangers="sso", pages=40, ends=(14,))


def _sign_on(**parameters: Any) -> Case:
    return Case(replace(_SSO, **parameters))


SIGN_ON = {
    **{
        f"A13 {manner}, another {host}": _sign_on(provider=provider, provider_host=host, ends=ends)
        for manner, provider, ends in (
            ("the provider forgets", "forgets", (14,)),
            ("the provider knows", "knows", (14,)),
            ("often", "forgets", (9, 20, 31)),
        )
        for host in ("address", "port", "name")
    },
    "A13 the home page is for all": _sign_on(public=(0, 1)),
    "A13 closed pages": _sign_on(closed=(20, 25, 30), closed_by="403"),
    **{
        f"A13 {manner}, answered by a form": Case(
            _sign_on(provider=provider, provider_answer="form").design, "Responding"
        )
        for manner, provider in (
            ("the provider forgets", "forgets"),
            ("the provider knows", "knows"),
        )
    },
    "A13 at one page, three times, the provider knows": _sign_on(
        provider="knows", ends=(), ends_at=(1, 1, 1)
    ),
    "A13 front controller": _sign_on(address="front controller"),
}

AGAIN = {
    "A17 addresses that are good once": Case(Design(once=(3, 5, 8))),
    "A17 addresses that are good once, and sessions end": Case(Design(once=(3, 5, 8), ends=TWICE)),
}

KINDS = {
    "entrances": ENTRANCES,
    "ends": ENDS,
    "closed": CLOSED,
    "sign_on": SIGN_ON,
    "again": AGAIN,
}
