"""Progress: live on a terminal, a line now and then elsewhere, and the reports at the end."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from crawler.cli.progress import Progress, Rate, packed
from crawler.cli.report import (
    duration,
    failures_text,
    list_text,
    size,
    status_json,
    status_text,
    summary_text,
)
from crawler.job.seeds import BadSeed
from crawler.job.spider_loader import Listing
from crawler.records import FailureReport
from crawler.stats import Counters, Snapshot, Summary


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    """The screen of a user."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "LINES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    return Terminal()


def snapshot(done: int = 0, pending: int = 0, **more: Any) -> Snapshot:
    counters = Counters(done=done, pending=pending, items=more.pop("items", done))
    counters.failed = more.pop("failed", 0)
    counters.traps = more.pop("traps", {})
    given = {
        "hosts": 1,
        "in_flight": 2,
        "stopping": False,
        "done_before": 0,
        **more,
    }
    return Snapshot(spider="books", counters=counters, **given)


def summary(**more: Any) -> Summary:
    counters = Counters(done=1234, items=2000, fetched=1300, bytes=17_500_000, seconds=65.0)
    for name in set(more) & set(Counters.__struct_fields__):
        setattr(counters, name, more.pop(name))
    given: dict[str, Any] = {
        "output": Path("data/jobs/books/items.jsonl"),
        "rejected": Path("data/jobs/books/rejected.jsonl"),
        "log": Path("data/jobs/books/run.log"),
        "failures": {},
        "login_errors": [],
        "bad_seeds": 0,
        "new_seeds": 0,
        "already_finished": False,
        **more,
    }
    return Summary(spider="books", counters=counters, **given)


def plain(text: str) -> str:
    """``text`` without colours; each move back to the start of a line as a line end."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r", "\n")


# Elsewhere than on a terminal


def test_a_line_comes_every_ten_seconds(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream, clock=clock) as progress:
        for tenth in range(301):
            clock.now = 1000 + tenth / 10
            progress.update(snapshot(done=tenth, pending=1000 - tenth, failed=tenth // 100))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[-1] == (
        "crawl: books: 300 pages, 10.1 pages/s, 700 pending, 3 failed, 300 items, 1 host at work, "
        "about 1 min 10 s left"
    )


def test_hosts_whose_robots_txt_is_waited_for_are_named(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock=clock)
    progress.update(snapshot(pending=9))
    clock.now += 10
    progress.update(snapshot(pending=9, waits_for="https://a.example (http 500)"))
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(", waiting for the robots.txt of https://a.example (http 500)")


def test_a_resumed_crawl_says_so_at_once(clock: Clock) -> None:
    stream = io.StringIO()
    Progress(stream, clock=clock).update(snapshot(done=500, pending=1, done_before=500))
    assert stream.getvalue() == "crawl: books: continues after 500 pages\n"


def test_a_stop_is_shown_without_waiting_for_the_next_line(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, clock=clock)
    progress.update(snapshot())
    progress.update(snapshot(stopping=True))
    progress.update(snapshot(stopping=True))
    assert stream.getvalue() == (
        "crawl: books: stopping, 2 requests in flight; Ctrl-C again stops at once\n"
    )


def test_no_escape_sequence_reaches_a_file(clock: Clock) -> None:
    stream = io.StringIO()
    with Progress(stream, clock=clock) as progress:
        progress.update(snapshot(pending=1, done_before=1))
        clock.now += 20
        progress.update(snapshot(done=3))
        progress.close(summary(finished=True))
    assert "\x1b" not in stream.getvalue()


# On a terminal


def test_the_display_is_drawn_four_times_a_second_at_most(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        drawn = 0
        for tick in range(1001):
            clock.now = 1000 + tick / 1000
            before = terminal.tell()
            progress.update(snapshot(done=tick))
            drawn += terminal.tell() > before
    assert drawn == 5


def test_the_display_has_a_bar_and_the_facts(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        for second in range(6):
            clock.now = 1000.0 + second
            progress.update(
                snapshot(done=1000 + 100 * second, pending=1000 - 100 * second, failed=4, hosts=3)
            )
        shown = plain(terminal.getvalue())
    for fact in ("books", "75%", "1,500 pages", "100.0 pages/s", "500 pending", "4 failed"):
        assert fact in shown
    assert "1,500 items" in shown
    assert "3 hosts at work" in shown
    assert "about 5 s left" in shown


def test_a_site_without_an_end_gets_no_estimate(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        for second in range(6):
            clock.now = 1000.0 + second
            progress.update(snapshot(done=1000 + 10 * second, pending=1))
        shown = plain(terminal.getvalue())
    assert "new pages keep coming" in shown
    assert " left" not in shown
    assert shown.count("%") <= 1  # of the first update, which knows no better


def test_an_end_that_moves_away_is_later(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        for second in range(6):
            clock.now = 1000.0 + second
            progress.update(snapshot(done=100 * second, pending=1000 - 50 * second))
    assert "about 15 s left" in plain(terminal.getvalue())


def test_max_pages_is_an_end(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock, limit=150) as progress:
        for second in range(6):
            clock.now = 1000.0 + second
            progress.update(snapshot(done=10 * second, pending=1))
    assert "about 10 s left" in plain(terminal.getvalue())


def test_traps_are_named_while_the_crawl_runs(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot(done=1000, traps={"/thisday/{date}": 93}))
    assert "no items from 93 % /thisday/{date}: deny leaves them out" in plain(terminal.getvalue())


@pytest.mark.parametrize("columns", ["24", "40", "80", "200"])
def test_the_display_fits_any_terminal(
    clock: Clock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot(done=123_456_789, pending=987_654_321))
        clock.now += 1
        progress.update(snapshot(done=123_456_999, pending=987_654_321, hosts=1000))
    assert max(map(len, plain(terminal.getvalue()).splitlines())) <= int(columns)


def test_colours_are_omitted_where_they_are_unwanted(
    clock: Clock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot(done=5, pending=5))
    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|38;[0-9;]+|9[0-7])m", terminal.getvalue())


def test_a_dumb_terminal_gets_lines(
    clock: Clock, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot())
        clock.now += 10
        progress.update(snapshot(done=7))
    assert terminal.getvalue() == (
        "crawl: books: 7 pages, 0.7 pages/s, 0 pending, 0 failed, 7 items, 1 host at work\n"
    )


def test_an_error_leaves_the_terminal_in_good_order(clock: Clock, terminal: Terminal) -> None:
    before = sys.stdout, sys.stderr
    with pytest.raises(RuntimeError), Progress(terminal, clock=clock) as progress:  # noqa: PT012
        progress.update(snapshot(done=5, pending=5))
        raise RuntimeError
    assert (sys.stdout, sys.stderr) == before


def test_the_cursor_is_there_while_it_runs(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot(done=5, pending=5))
        written = terminal.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


def test_the_summary_takes_the_place_of_the_display(clock: Clock, terminal: Terminal) -> None:
    with Progress(terminal, clock=clock) as progress:
        progress.update(snapshot(done=5, pending=5))
        progress.close(summary(finished=True))
    assert terminal.getvalue().endswith(summary_text(summary(finished=True)) + "\n")


# Bad seeds


@pytest.mark.parametrize("drawn", [False, True])
def test_bad_seeds_are_shown_up_to_a_limit(clock: Clock, terminal: Terminal, drawn: bool) -> None:
    with Progress(terminal, clock=clock) as progress:
        if drawn:
            progress.update(snapshot())
        for number in range(1, 1001):
            progress.bad_seed(BadSeed(f"[red]x:{number}", "hello", "is no URL"))
    lines = [line for line in plain(terminal.getvalue()).splitlines() if line.startswith("crawl:")]
    assert len(lines) == 21
    assert lines[0] == "crawl: bad seed [red]x:1: 'hello' is no URL"
    assert lines[-1] == "crawl: more bad seeds are only counted"


# What is left


def test_a_limit_of_pages_counts_for_the_time_left(clock: Clock) -> None:
    stream = io.StringIO()
    progress = Progress(stream, limit=150, clock=clock)
    progress.update(snapshot(done=0))
    clock.now += 10
    progress.update(snapshot(done=90, failed=10, pending=100_000))
    assert stream.getvalue().endswith(
        "100,000 pending, 10 failed, 90 items, 1 host at work, about 5 s left\n"
    )


def test_the_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.per_second == 0
    for second in range(100):
        rate.add(second, 1000 * min(second, 50))
    assert rate.per_second == 0
    rate.add(100, 50_000 + 100)
    assert rate.per_second == pytest.approx(10)


def test_facts_are_packed_into_lines() -> None:
    assert packed(["aaa", "bbb", "ccc"], 9) == ["aaa · bbb", "ccc"]
    assert packed(["aaaaaaaaaaaa", "b"], 5) == ["aaaaaaaaaaaa", "b"]
    assert packed([], 5) == []


# The summary


def test_the_summary_of_a_finished_job() -> None:
    assert summary_text(summary(finished=True, reason="finished")) == (
        "crawl: books finished\n"
        "  pages      1,234 in 1 min 5 s, 19.0 pages/s\n"
        "  items      2,000 in data/jobs/books/items.jsonl\n"
        "  received   17.5 MB in 1,300 responses"
    )


def test_the_summary_of_a_run_that_has_nothing_says_why() -> None:
    nothing = {"done": 0, "items": 0, "failed": 3, "failures": {"dns": 3}}
    given = {"finished": True, "reason": "finished", "last_failure": "http://x/: no such host"}
    first = summary_text(summary(**nothing, **given)).splitlines()[0]
    assert first == "crawl: books finished, but every page failed: http://x/: no such host"
    some = summary_text(summary(**{**nothing, "items": 1}, **given)).splitlines()[0]
    assert some == "crawl: books finished"  # failed() has made something of it


def test_the_summary_names_no_empty_log(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.touch()
    assert "run.log" not in summary_text(summary(finished=True, log=log))


def test_the_summary_tells_what_was_lost(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("an event\n")
    text = summary_text(
        summary(
            failed=3,
            failures={"http 404": 2, "timeout": 1},
            rejected=4,
            bad_seeds=5,
            log=log,
            finished=True,
        )
    )
    assert "\n  failed     3: 2 http 404, 1 timeout\n" in text
    assert f"\n  see        crawl status {tmp_path} --failed\n" in text
    assert "\n  rejected   4 in data/jobs/books/rejected.jsonl\n" in text
    assert "\n  bad seeds  5\n" in text
    assert text.endswith(f"\n  log        {log}")


@pytest.mark.parametrize(
    ("facts", "first"),
    [
        (
            {
                "reason": "unreachable",
                "pending": 2,
                "waits_for": "http://a.example (dns)",
            },
            "crawl: books stopped, 2 requests pending, as no host answers: http://a.example (dns); "
            "run the same command to try again",
        ),
        (
            {
                "finished": True,
                "failed": 3,
                "done": 0,
                "items": 0,
                "failures": {"disallowed by robots.txt": 3},
            },
            "crawl: books finished, but no page came, as robots.txt disallows every URL that it "
            "has requested: obey_robots=false ignores it, where you may",
        ),
        (
            {"pending": 890, "reason": "stopped"},
            "crawl: books stopped, 890 pending: run the same command to continue",
        ),
        (
            {"finished": True, "already_finished": True},
            "crawl: books is already finished and has no new seeds; --fresh starts again",
        ),
        (
            {"finished": True, "reason": "max_pages", "pending": 7},
            "crawl: books finished: max_pages is reached, 7 pending",
        ),
        (
            {"login_errors": ["there is no form #login"], "pending": 7},
            "crawl: books could not log in: there is no form #login; 7 pending, for the next run",
        ),
    ],
)
def test_the_summary_says_how_to_continue(facts: dict[str, Any], first: str) -> None:
    assert summary_text(summary(**facts)).splitlines()[0] == first


# The status and the list


STATUS: dict[str, Any] = {
    "spider": "/somewhere/books.py:Books",
    "state": "stopped",
    "reason": "stopped",
    "pending": 890,
    "in_flight": 0,
    "done": 1234,
    "failed": 3,
    "items": 2000,
    "rejected": 0,
    "repaired": 0,
    "skipped_unsafe": 0,
    "skipped_by_limit": {},
    "traps": {},
    "bytes": 17_500_000,
    "hosts": 1,
    "started": 1_700_000_000.25,
    "seconds": 65.0,
    "output": "items.jsonl",
    "failures": {"http 404": 2, "timeout": 1},
    "waiting": {},
}


def test_the_status_for_people() -> None:
    lines = status_text(STATUS, Path("data/jobs/books")).splitlines()
    assert lines[0] == "data/jobs/books is stopped"
    assert "  spider     /somewhere/books.py:Books" in lines
    assert "  pages      1,234 done, 890 pending" in lines
    assert "  failed     3: 2 http 404, 1 timeout" in lines
    assert not any("skipped" in line for line in lines)
    some = status_text({**STATUS, "skipped_unsafe": 2}, Path("data/jobs/books"))
    assert "  skipped    2 unsafe links" in some.splitlines()
    assert "  list       crawl status data/jobs/books --skipped" in some.splitlines()
    assert lines[-3:] == [
        "  see        crawl status data/jobs/books --failed",
        "  ended      it was stopped",
        "  to resume  crawl resume data/jobs/books",
    ]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"reason": "login"}, ["a login failed; the next run tries it again"]),
        (
            {"reason": "login", "waiting": {"": "code", "ann": "the captcha"}},
            [
                "its account needs code: run "
                "crawl login /somewhere/books.py:Books --job 'my jobs/books'",
                "ann needs the captcha: run "
                "crawl login /somewhere/books.py:Books --job 'my jobs/books' --account ann",
            ],
        ),
        ({"state": "finished", "reason": "max_pages"}, ["it reached max_pages"]),
        ({"state": "finished", "reason": "finished"}, []),
        (
            {"reason": "robots"},
            ["a robots.txt is unavailable; the next run requests it again"],
        ),
        ({"state": "running", "reason": ""}, []),
        ({"reason": ""}, ["it was killed, or ended with an error, see my jobs/books/run.log"]),
        ({"reason": "", "seconds": 0.0}, []),  # a job in which somebody has only logged in
    ],
)
def test_the_status_says_why_the_last_run_ended(facts: dict[str, Any], why: list[str]) -> None:
    lines = status_text({**STATUS, **facts}, Path("my jobs/books")).splitlines()
    head = "  ended      "
    assert [line.removeprefix(head) for line in lines if line.startswith(head)] == why


def test_commands_can_be_typed_as_they_are_shown() -> None:
    text = status_text(STATUS, Path("my jobs/it's"))
    assert """  to resume  crawl resume 'my jobs/it'"'"'s'""" in text.splitlines()


def test_the_status_of_a_running_job() -> None:
    lines = status_text({**STATUS, "state": "running", "in_flight": 5}, Path("x")).splitlines()
    assert lines[0] == "x is running"
    assert "  in flight  5" in lines


def test_the_status_for_programs(tmp_path: Path) -> None:
    found = json.loads(status_json(STATUS, tmp_path))
    assert found["started"] == "2023-11-14T22:13:20+00:00"
    assert found["job"] == str(tmp_path)
    assert {**found, "started": STATUS["started"]} == {**STATUS, "job": str(tmp_path)}


def test_failed_pages_are_listed_by_cause_with_the_last_traceback() -> None:
    reports = [
        FailureReport("/a", "http 404", "/a: 404 Not Found"),
        FailureReport("/b", "KeyError in parse()", "/b: KeyError: 'x'", "Traceback\n  last\n"),
        FailureReport("/c", "KeyError in parse()", "/c: KeyError: 'y'", "Traceback\n  first\n"),
    ]
    assert failures_text(reports) == (
        "2 KeyError in parse()\n"
        "  /b: KeyError: 'x'\n"
        "  /c: KeyError: 'y'\n"
        "\n"
        "    Traceback\n"
        "      last\n"
        "\n"
        "1 http 404\n"
        "  /a: 404 Not Found"
    )
    assert failures_text([]) == "no page has failed"


def test_the_list_of_spiders() -> None:
    listings = [
        Listing(Path("spiders/books.py"), "books", "Books", "All books."),
        Listing(Path("spiders/broken.py"), error="spiders/broken.py is broken"),
        Listing(Path("spiders/orders.py"), "orders", "Orders", "", logs_in=True),
    ]
    assert list_text(listings, Path("spiders")) == (
        "books   spiders/books.py:Books             All books.\n"
        "orders  spiders/orders.py:Orders  logs in\n"
        "spiders/broken.py is broken"
    )
    assert list_text(listings[1:2], Path("spiders")) == "spiders/broken.py is broken"
    assert list_text([], Path("spiders")).startswith("no spiders in spiders/; to begin with one:")


# In words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (4.25, "4.2 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (190_000, "2 d 4 h"),
    ],
)
def test_times_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2.5e9, "2.5 GB"), (3e15, "3,000.0 TB")],
)
def test_sizes_as_people_say_them(number: float, text: str) -> None:
    assert size(number) == text
