"""Write reports: the summary of a run, the status of a job, its sessions, the list of spiders."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crawler.job.folder import LOG
from crawler.job.session_admin import SessionInfo
from crawler.job.spider_loader import Listing
from crawler.records import FailureReport, SkippedShape
from crawler.stats import Counters, Summary, unavailable_message
from crawler.text import count, display_path

MOST_SHAPES = 5
"""Shapes of unsafe links that the summary names."""
MEANING = {"logs out": "seems to log out", "destructive": "seems to change something"}
ALLOW = (
    "Request(url, safe=True) follows a link all the same, safe_urls of the spider its like, "
    "and the settings follow_logout and follow_destructive all of their kind."
)


def summary_text(summary: Summary) -> str:
    """Return the summary of a run: how it ended, its results and their files, how to continue."""
    counters = summary.counters
    lines = [f"crawl: {_how_it_ended(summary)}"]
    facts = {
        "pages": f"{counters.done:,} in {duration(counters.seconds)}{_per_second(counters)}",
        "items": f"{counters.items:,} in {display_path(summary.output)}",
    }
    if counters.rejected:
        facts["rejected"] = f"{counters.rejected:,} in {display_path(summary.rejected)}"
    if counters.repaired:
        facts["repaired"] = f"{count(counters.repaired, 'item')}, with U+FFFD for broken characters"
    if counters.failed:
        facts["failed"] = f"{counters.failed:,}: {_causes(summary.failures)}"
        facts["see"] = command("crawl", "status", display_path(summary.log.parent), "--failed")
    if counters.skipped_unsafe:
        folder = display_path(summary.log.parent)
        facts["skipped"] = _skipped(counters.skipped_unsafe, summary.skipped)
        facts["list"] = command("crawl", "status", folder, "--skipped")
    if counters.skipped_by_limit:
        facts["left out"] = _left_out(counters.skipped_by_limit)
    facts.update(_traps(counters.traps))
    if summary.bad_seeds:
        facts["bad seeds"] = f"{summary.bad_seeds:,}"
    facts["received"] = f"{size(counters.bytes)} in {count(counters.fetched, 'response')}"
    if summary.log.exists() and summary.log.stat().st_size:
        facts["log"] = display_path(summary.log)
    return "\n".join([*lines, *_aligned(facts)])


def _skipped(number: int, shapes: Sequence[SkippedShape]) -> str:
    """Name the unsafe links that were not followed, each shape once."""
    named = ", ".join(f"{row.links:,} {row.shape}" for row in shapes[:MOST_SHAPES])
    further = len(shapes) - MOST_SHAPES
    more = f", and {count(further, 'further shape')}" if further > 0 else ""
    return f"{count(number, 'unsafe link')}{': ' if named else ''}{named}{more}"


def _left_out(by_limit: dict[str, int]) -> str:
    """Count the links that limits excluded, the most frequent limit first."""
    ordered = sorted(by_limit.items(), key=lambda item: (-item[1], item[0]))
    return f"{count(sum(by_limit.values()), 'link')}: " + ", ".join(
        f"{number:,} {name}" for name, number in ordered
    )


def trap_text(traps: Mapping[str, int]) -> str:
    """Return the shapes of URLs that took most of the pages, with their shares."""
    return ", ".join(f"{percent} % {shape}" for shape, percent in traps.items())


def _traps(traps: Mapping[str, int]) -> dict[str, str]:
    """Say which URLs took most of the pages and gave no items, and how to leave them out."""
    if not traps:
        return {}
    patterns = [shape.replace(",", "\\,") for shape in traps]  # a comma is between two patterns
    options = [word for pattern in patterns for word in ("-s", f"deny={pattern}")]
    return {
        "no items": f"from most of the pages: {trap_text(traps)}",
        "leave out": command(*options),
    }


def _how_it_ended(summary: Summary) -> str:
    name, counters = summary.spider, summary.counters
    if summary.login_errors:
        reasons = "; ".join(summary.login_errors)
        return f"{name} could not log in: {reasons}; {counters.pending:,} pending, for the next run"
    if counters.finished and summary.is_disallowed:
        return (
            f"{name} finished, but no page came, as robots.txt disallows every URL that it has "
            "requested: obey_robots=false ignores it, where you may"
        )
    if summary.already_finished:
        return f"{name} is already finished and has no new seeds; --fresh starts again"
    if counters.reason == "max_pages":
        return f"{name} finished: max_pages is reached, {counters.pending:,} pending"
    if counters.finished and summary.has_nothing:
        return f"{name} finished, but every page failed: {summary.last_failure}"
    if counters.finished:
        return f"{name} finished"
    if counters.reason in {"robots", "unreachable"}:
        return f"{name} stopped, {unavailable_message(summary)}"
    return f"{name} stopped, {counters.pending:,} pending: run the same command to continue"


def _per_second(counters: Counters) -> str:
    return f", {counters.done / counters.seconds:,.1f} pages/s" if counters.seconds > 0 else ""


def status_text(status: Mapping[str, Any], folder: Path) -> str:
    """Return the text of ``crawl status``; ``status`` is that of ``job_status``."""
    failed = f"{status['failed']:,}"
    if status["failures"]:
        failed += f": {_causes(status['failures'])}"
    facts = {
        "spider": _spec(status["spider"]),
        "pages": f"{status['done']:,} done, {status['pending']:,} pending",
        "failed": failed,
        "items": f"{status['items']:,} in {display_path(Path(status['output']))}",
        "rejected": f"{status['rejected']:,}",
        "received": f"{size(status['bytes'])} from {count(status['hosts'], 'host')}",
        "time": f"{duration(status['seconds'])} of running, started {_local(status['started'])}",
    }
    if status["repaired"]:
        facts["repaired"] = (
            f"{count(status['repaired'], 'item')}, with U+FFFD for broken characters"
        )
    if status["skipped_unsafe"]:
        facts["skipped"] = count(status["skipped_unsafe"], "unsafe link")
        facts["list"] = command("crawl", "status", display_path(folder), "--skipped")
    if status["skipped_by_limit"]:
        facts["left out"] = _left_out(status["skipped_by_limit"])
    facts.update(_traps(status["traps"]))
    if status["state"] == "running":
        facts["in flight"] = f"{status['in_flight']:,}"
    if status["failed"]:
        facts["see"] = command("crawl", "status", display_path(folder), "--failed")
    lines = [f"{display_path(folder)} is {status['state']}", *_aligned(facts)]
    if status["state"] != "running":
        lines += [
            line for reason in _end_reasons(status, folder) for line in _aligned({"ended": reason})
        ]
    if status["state"] == "stopped":
        lines += _aligned({"to resume": command("crawl", "resume", display_path(folder))})
    return "\n".join(lines)


def _end_reasons(status: Mapping[str, Any], folder: Path) -> list[str]:
    """Return why the last run of a job ended, unless it had nothing left to do."""
    if status["waiting"]:
        login = ("crawl", "login", _spec(status["spider"]), "--job", display_path(folder))
        return [
            f"{name or 'its account'} needs {question}: run "
            + command(*login, *(("--account", name) if name else ()))
            for name, question in status["waiting"].items()
        ]
    if status["state"] == "stopped" and not status["reason"] and status["seconds"]:
        return [f"it was killed, or ended with an error, see {display_path(folder / LOG)}"]
    reasons = {
        "login": "a login failed; the next run tries it again",
        "max_pages": "it reached max_pages",
        "unreachable": "no host answered; the next run requests them again",
        "robots": "a robots.txt is unavailable; the next run requests it again",
        "stopped": "it was stopped",
    }
    return [reasons[status["reason"]]] if status["reason"] in reasons else []


def status_json(status: Mapping[str, Any], folder: Path) -> str:
    """Return the same for programs: a JSON object, with ``started`` in ISO 8601 (UTC)."""
    started = datetime.fromtimestamp(status["started"], UTC).isoformat(timespec="seconds")
    return json.dumps({**status, "started": started, "job": str(folder.absolute())}, indent=2)


def failures_text(reports: Sequence[FailureReport]) -> str:
    """Return the failed pages by cause, the most frequent first, each with its last traceback."""
    by_cause: dict[str, list[FailureReport]] = {}
    for report in reports:
        by_cause.setdefault(report.cause, []).append(report)
    parts = []
    for cause, failed in sorted(by_cause.items(), key=lambda item: -len(item[1])):
        messages = [textwrap.indent(report.message, "  ") for report in failed]
        parts += [f"{len(failed):,} {cause}", *messages]
        if failed[0].traceback:
            parts += ["", textwrap.indent(failed[0].traceback.rstrip(), "    "), ""]
    return "\n".join(parts).rstrip() or "no page has failed"


def skipped_text(shapes: Sequence[SkippedShape]) -> str:
    """Return the links that were not followed as they may act, a paragraph for each shape."""
    paragraphs = [
        f"{row.links:,} {row.shape}\n  {MEANING[row.effect]}, by {row.sign!r}\n  {row.example}"
        for row in shapes
    ]
    if not shapes:
        return "every link was followed that the limits and the scope allow"
    return "\n".join([*paragraphs, "", ALLOW])


def list_text(listings: Sequence[Listing], folder: Path) -> str:
    """Return the text of ``crawl list``: a line for each spider, and for each broken file."""
    if not listings:
        return f"no spiders in {display_path(folder)}/; to begin with one: crawl new books"
    rows = [
        (
            listing.name,
            f"{display_path(listing.path)}:{listing.class_name}",
            "logs in" if listing.logs_in else "",
            listing.about,
        )
        for listing in listings
        if not listing.error
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([*lines, *(listing.error for listing in listings if listing.error)])


def sessions_text(infos: Sequence[SessionInfo], folder: Path) -> str:
    """Return the text of ``crawl sessions``: a line for each session, under a header."""
    if not infos:
        return f"{display_path(folder)} has no sessions"
    rows = [("session", "hosts", "logged in", "first expiry", "pages", "logins", "logged out")]
    rows += [_session_row(info) for info in infos]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    waiting = [f"{_label(info)} needs {info.waiting}" for info in infos if info.waiting]
    return "\n".join([*lines, *waiting])


def _session_row(info: SessionInfo) -> tuple[str, str, str, str, str, str, str]:
    more = f" and {len(info.hosts) - 2:,} more" if len(info.hosts) > 2 else ""
    return (
        _label(info),
        (", ".join(info.hosts[:2]) + more) or "-",
        _time(info.logged_in_at) if info.is_account else "-",
        _time(info.first_expiry),
        f"{info.pages:,}" if info.is_account else "-",
        f"{info.logins:,}" if info.is_account else "-",
        _time(info.logged_out_at),
    )


def _label(info: SessionInfo) -> str:
    return info.name or "account"


def _time(seconds: float | None) -> str:
    return "-" if seconds is None else _local(seconds)


def sessions_json(infos: Sequence[SessionInfo]) -> str:
    """Return the same for programs: a JSON list of objects, with times in ISO 8601 (UTC)."""
    return json.dumps([_session_fields(info) for info in infos], indent=2)


def _session_fields(info: SessionInfo) -> dict[str, Any]:
    return {
        "session": info.key,
        "account": info.name if info.is_account and info.name else None,
        "hosts": info.hosts,
        "cookies": info.cookies,
        "logged_in": _iso(info.logged_in_at) if info.is_account else None,
        "first_expiry": _iso(info.first_expiry),
        "pages": info.pages,
        "logins": info.logins,
        "logged_out": _iso(info.logged_out_at),
        "waiting": info.waiting or None,
    }


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


# Formatting


def command(*words: str) -> str:
    """Return a command as a user can type it."""
    return shlex.join(words)


def _aligned(facts: Mapping[str, str]) -> list[str]:
    return [f"  {name:10} {fact}" for name, fact in facts.items()]


def _causes(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {cause}" for cause, number in failures.items())


def _spec(spec: str) -> str:
    """Return a spider's spec with a short path."""
    path, mark, name = spec.rpartition(":")
    return f"{display_path(Path(path))}{mark}{name}" if path.endswith(".py") else spec


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Return a time in two units at most: ``45 s``, ``3 min 20 s``, ``2 d 5 h``."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, big, small_size, small in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {big} {whole % size // small_size} {small}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def size(number: float) -> str:
    """Return a number of bytes in a suitable unit: ``900 bytes``, ``1.5 MB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"
