"""Designs of sites that are made up at random, by a seed."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, TypeVar

from tests.login_sites.crawls import Plan
from tests.login_sites.design import Design

_T = TypeVar("_T")

FEWEST, MOST = 13, 20
"""Pages of a site."""


def design_of(seed: int) -> Design:
    """Return the site of this seed, always the same one."""
    return Design(**_Draw(seed).parameters())


def plan_of(seed: int) -> Plan:
    """Return how a user crawls the site of this seed: with the defaults, and the right login."""
    chance, design = Random(f"plan {seed}"), design_of(seed)
    spider = "Member"
    if design.api != "none":
        spider = "Api"
    elif design.provider_answer == "form":
        spider = "Responding"
    elif design.steps == 2:
        spider = "TwoSteps"
    elif design.fields == "brackets" and chance.random() < 0.5:
        spider = "Named"
    elif not design.token and design.provider == "none" and chance.random() < 0.12:
        spider = "Posting"
    return Plan(spider, chance.choice([1, 4, 16]))


class _Draw:
    """Draws the parameters of a design, group by group; a group may depend on those before."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(f"site {seed}")
        self._drawn: dict[str, Any] = {"pages": self._chance.randint(FEWEST, MOST)}

    def parameters(self) -> dict[str, Any]:
        """Return all parameters."""
        self._draw_kind()
        self._draw_pages()
        self._draw_login()
        self._draw_strangers()
        self._draw_closed()
        self._draw_ends()
        self._draw_cookies()
        return self._drawn

    def _happens(self, percent: float) -> bool:
        return self._chance.random() * 100 < percent

    def _choose(self, weights: Mapping[_T, float]) -> _T:
        return self._chance.choices(list(weights), list(weights.values()))[0]

    def _some_pages(self, most: int) -> tuple[int, ...]:
        count = self._chance.randint(1, most)
        return tuple(sorted(self._chance.sample(range(1, self._drawn["pages"]), count)))

    @property
    def _is_plain(self) -> bool:
        """Return True if the site itself has an HTML form."""
        return bool(self._drawn["provider"] == self._drawn["api"] == "none")

    # Groups

    def _draw_kind(self) -> None:
        kind = self._choose({"site": 80, "sign-on": 12, "api": 8})
        self._drawn |= {
            "address": self._choose({"path": 40, "front controller": 25, "query": 15, "wiki": 20}),
            "provider": "none",
            "api": "none",
        }
        if kind == "sign-on":
            self._drawn["provider"] = self._choose({"forgets": 60, "knows": 40})
            self._drawn["provider_answer"] = self._choose({"redirect": 70, "form": 30})
            self._drawn["provider_host"] = self._choose({"address": 50, "port": 25, "name": 25})
        elif kind == "api":
            self._drawn["api"] = self._choose({"cookie": 50, "bearer": 50})

    def _draw_pages(self) -> None:
        if self._happens(15):
            self._drawn["seeds"] = (*self._some_pages(2), 0)
        self._drawn["robots"] = self._choose({"missing": 85, "login": 10, "form": 5})
        self._drawn["frame"] = self._choose({"link": 55, "form": 13, "name": 20, "none": 12})
        public = self._some_pages(4) if self._happens(35) else ()
        self._drawn["public"] = (0, *public) if self._happens(25) else public
        if self._drawn["api"] == "none":
            self._drawn["box"] = self._choose({"none": 75, "one page": 10, "everywhere": 15})
            self._drawn["moved"] = self._happens(10) and "seeds" not in self._drawn
            self._drawn["home_link"] = self._happens(15)
        if self._happens(8):
            numbers = set(self._some_pages(2)) - set(self._drawn["public"])
            self._drawn["once"] = tuple(sorted(numbers))

    def _draw_login(self) -> None:
        drawn = self._drawn
        if self._is_plain:
            form = drawn["form"] = self._choose({"page": 66, "front": 17, "sidebar": 17})
            drawn["answer"] = self._choose({"302": 45, "303": 30, "200": 25})
            drawn["fields"] = self._choose({"plain": 80, "brackets": 20})
            if form != "sidebar":
                drawn["token"] = self._happens(35)
                drawn["steps"] = 2 if self._happens(14) else 1
            if form == "front":
                drawn["public"] = tuple(number for number in drawn["public"] if number)
            lands = {"home": 40, "welcome": 25, "next": 20, "login": 15 * (form == "page")}
            drawn["lands"] = self._choose(lands)
            again = {"home": 60, "form": 20 * (drawn["lands"] != "login"), "notice": 20}
            drawn["again"] = self._choose(again) if form == "page" else "home"
            if form == "page":
                drawn["flow"] = self._choose({"no": 84, "query": 8, "path": 8})
            drawn["login_link"] = form == "page" and self._happens(15)
        if drawn["provider"] == "none" and self._happens(10):
            troubles = {"503": 35, "500": 20, "429": 20, "reset": 15, "419": 10}
            drawn["trouble"] = (self._choose(troubles),)

    def _draw_strangers(self) -> None:
        drawn = self._drawn
        if drawn["provider"] != "none":
            drawn["strangers"] = "sso"
        elif drawn["api"] != "none":
            drawn["strangers"] = self._choose({"401": 45, "403": 25, "error": 30})
        else:
            weights: dict[str, float] = {
                **{
                    "login": 30,
                    "bare login": 6,
                    "door": 6,
                    "home": 7,
                    "away": 5,
                    "script": 4,
                    "chain": 4,
                },
                **{"form": 15, "note": 5, "teaser": 4, "soft": 3},
                **{"401": 4, "403": 5, "404": 5, "419": 2, "440": 2},
            }
            if drawn["form"] != "page":
                weights["door"] = 0
            drawn["strangers"] = self._choose(weights)
        if 0 not in drawn["public"] and self._leads_home():
            drawn["public"] = (0, *drawn["public"])

    def _leads_home(self) -> bool:
        """Return True if strangers are sent to the home page, which must show them the form."""
        form, strangers = self._drawn.get("form", "page"), self._drawn["strangers"]
        if form == "sidebar":
            return strangers in ("login", "bare login", "home", "chain", "script", "away")
        return bool(strangers == "home" and form == "page")

    def _draw_closed(self) -> None:
        drawn, pages = self._drawn, self._drawn["pages"]
        where = self._choose({"none": 45, "one": 15, "block": 12, "fifths": 13, "mixed": 15})
        closed: dict[str, tuple[int, ...]] = {
            "none": (),
            "one": self._some_pages(1),
            "block": tuple(range(pages - pages // 3, pages)),
            "fifths": tuple(range(4, pages, 5)),
            "mixed": self._some_pages(pages // 3),
        }
        taken = {*drawn["public"], *drawn.get("once", ())}
        drawn["closed"] = tuple(number for number in closed[where] if number not in taken)
        weights: dict[str, float] = {"401": 6, "403": 36, "404": 10, "500": 4}
        if drawn["api"] == "none":
            weights |= {"home": 8, "message": 10}
        if self._is_plain:
            weights |= {"login": 25 * (drawn["form"] == "page"), "form": 7}
        drawn["closed_by"] = self._choose(weights)

    def _draw_ends(self) -> None:
        drawn = self._drawn
        kind = self._choose({"never": 15, "requests": 50, "page": 12, "life": 15, "exit": 8})
        if kind == "requests":
            counts = self._chance.sample(range(3, drawn["pages"] + 5), self._chance.randint(1, 3))
            drawn["ends"] = tuple(sorted(counts))
        elif kind == "page":
            drawn["ends_at"] = self._some_pages(1) * self._chance.randint(1, 3)
        elif kind == "life":
            drawn["life"] = self._chance.randint(8, 12)
        elif kind == "exit" and self._is_plain:
            drawn["exit"] = self._choose({"login": 50, "bye": 50})

    def _draw_cookies(self) -> None:
        drawn = self._drawn
        has_state = drawn.get("token") or drawn.get("steps") == 2
        weights = {"form": 50, "always": 25}
        drawn["anonymous"] = self._choose(
            weights if has_state else weights | {"never": 12, "deleted": 13}
        )
        drawn["rotates"] = self._choose(
            {"login": 75, "never": 12, "page": 13 * (drawn["api"] != "bearer")}
        )
        if self._is_plain:
            drawn["remember"] = self._choose({"no": 88, "silent": 6, "redirect": 6})
