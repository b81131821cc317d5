"""Crawl sites behind a login, and say what is wrong with the result."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.jobs import items
from tests.login_sites.counts import summary_of
from tests.login_sites.design import Design
from tests.login_sites.launcher import Ended, Launcher
from tests.login_sites.site import STRANGER, LoginSite

KILLS = 5
"""The number of times that a crawl is killed, where it is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The way in which a site is crawled."""

    spider: str = "Member"
    concurrency: int = 4
    kill_at: tuple[int, ...] = ()
    """Counts of requests at which the crawl is killed; the same command then goes on."""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The output, report and log of a crawl."""

    site: LoginSite
    report: dict[str, Any]
    items: list[dict[str, Any]]
    log: str
    stuck: bool

    @property
    def strangers_pages(self) -> list[str]:
        """Addresses of items that come from answers which were given to a stranger."""
        given = self.site.given
        return [
            item["url"] for item in self.items if given.get(item["serial"], STRANGER) == STRANGER
        ]

    @property
    def names(self) -> Counter[str]:
        """The number of times that each numbered page is in the output, as members get it."""
        design = self.site.design
        texts = {design.text(number): f"page {number}" for number in design.open_pages}
        return Counter(texts[item["text"]] for item in self.items if item["text"] in texts)

    @property
    def is_exact(self) -> bool:
        """True if the output has each open page once, and nothing else."""
        return not self.item_faults()

    def item_faults(self) -> list[str]:
        """Say what is wrong with the output."""
        expected = Counter(f"page {number}" for number in self.site.design.open_pages)
        lost = list((expected - self.names).elements())
        twice = list((self.names - expected).elements())
        strangers = self.strangers_pages
        unwanted = [url for url in self._others() if url not in strangers]
        return [
            *([f"lost {_several(lost)}"] if lost else []),
            *([f"twice {_several(twice)}"] if twice else []),
            *([f"strangers' pages in the output: {_several(strangers)}"] if strangers else []),
            *([f"not of the site: {_several(unwanted)}"] if unwanted else []),
        ]

    def faults(self) -> list[str]:
        """Say what is wrong with the crawl; empty if nothing is."""
        site, report = self.site, self.report
        if self.stuck or "error" in report:
            return ["the crawl stood still" if self.stuck else report["error"].splitlines()[-1]]
        faults = [*self.item_faults(), *self.login_faults()]
        if report["status"]:
            faults.append(f"status {report['status']}: {'; '.join(report['login_errors'])[:200]}")
        if not self._may_fail():
            faults.append(f"failed {report['failures']}, not {len(site.design.closed_pages)}")
        if site.counts.overrun:
            faults.append("requests without end")
        return faults

    def login_faults(self) -> list[str]:
        """Say what is wrong with the logins."""
        site, faults = self.site, []
        if site.logins > site.logins_due:
            faults.append(f"{site.logins} logins, {site.logins_due} were due")
        if site.counts.wrong:
            faults.append(f"{site.counts.wrong} logins with wrong fields")
        if site.counts.logged_out:
            faults.append("the link that logs out was followed")
        # A login and a page may each begin one, and the calibration as a stranger.
        if site.flows > 1 + 2 * (1 + site.counts.ended + site.counts.kills):
            faults.append(f"{site.flows} sign-ons begun")
        return faults

    def _others(self) -> list[str]:
        """Addresses of items that are no numbered page that a member may see."""
        design, site = self.site.design, self.site
        texts = {design.text(number) for number in design.open_pages}
        may = {"welcome", "login"} if design.again == "notice" else {"welcome"}
        if design.login_link and design.again == "form":
            may.add("login")
        if design.closed_by in ("form", "message"):
            may.update(f"p{number}" for number in design.closed)
        if design.exit == "bye":
            may.add("exit")
        others = (item["url"] for item in self.items if item["text"] not in texts)
        return [url for url in others if site.name(url) not in may]

    def _may_fail(self) -> bool:
        """Return True if no more pages have failed than may, including those reported by chance."""
        design, failed = self.site.design, int(self.report["failed"])
        closed = len(design.closed_pages)
        least = most = closed
        if design.closed_by == "home":
            least = 0
        elif design.closed_by in ("form", "message"):
            names = {f"p{number}" for number in design.closed_pages}
            least = most = closed - sum(self.site.name(item["url"]) in names for item in self.items)
        if design.exit != "none" or (design.login_link and design.again != "home"):
            most += 1
        return least <= failed <= most


def crawl(design: Design, folder: Path, launcher: Launcher, plan: Plan) -> Outcome:
    """Crawl a site of this design in ``folder``, until a run ends by itself."""
    with LoginSite(design, plan.kill_at) as site:
        ended = _run(site, folder, launcher, plan)
        while ended.killed:
            ended = _run(site, folder, launcher, plan)
    log = folder / "run.log"
    has_output = (folder / "items.jsonl").exists()
    return Outcome(
        site,
        ended.report,
        items(folder) if has_output else [],
        log.read_text() if log.exists() else "",
        ended.stuck,
    )


def _run(site: LoginSite, folder: Path, launcher: Launcher, plan: Plan) -> Ended:
    arguments = {"login_url": site.login_url, "style": site.design.fields}
    if site.design.api == "bearer":
        arguments["bearer"] = "yes"
    several = {"concurrency": plan.concurrency, "concurrency_per_host": plan.concurrency}
    order = {
        "spider": plan.spider,
        "folder": str(folder),
        "seeds": [site.number_url(number) for number in site.design.seeds],
        "arguments": arguments,
        "settings": {**several, "allow_private": site.design.provider != "none", **plan.settings},
    }

    def begin(pid: int) -> None:
        site.victim = pid

    return launcher.run(order, begin)


def describe(outcome: Outcome) -> str:
    """Describe a crawl, for the message of a failed test."""
    site = outcome.site
    lines = [f"design: {site.design}", f"counts: {summary_of(site.counts)}"]
    lines += [f"report: {outcome.report.get('summary') or outcome.report}"]
    return "\n".join([*lines, *outcome.log.splitlines()[-15:], *site.log[-30:]])


def _several(names: list[str], most: int = 6) -> str:
    shown = ", ".join(names[:most])
    return f"{len(names)} ({shown}{', …' if len(names) > most else ''})"
