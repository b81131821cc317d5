"""The promises of the benchmarks: equal work, and figures that mean what the report says."""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
import urllib.request
from collections import Counter
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

import pytest
import requests
from bs4 import BeautifulSoup

if sys.platform != "linux":
    pytest.skip("the benchmarks read /proc", allow_module_level=True)

# The benchmarks are no part of what is installed, and `pytest` looks for that alone.
sys.path.append(str(Path(__file__).parents[2]))

from benchmarks import (
    broad_crawl,
    broad_site,
    chart,
    compare,
    environments,
    manuals,
    many_hosts,
    member_site,
    parts,
    report,
    reuse,
    site,
    slow_crawl,
    soup_trees,
)
from benchmarks.calm import Calm
from benchmarks.crawlers import GO_CRAWLER, OURS, OURS_BROAD, OURS_SOUP, SCRAPY, Crawler
from benchmarks.environments import MissingDependencyError
from benchmarks.items import Item, Output, difference, read
from benchmarks.measure import CrawlError, Measurement, Traffic, check, measure
from benchmarks.processes import LaunchedCommand
from benchmarks.results import Goal, Row, Section, load, ratio, row_of

ONE = Item("http://x.example/1", "One", ("One",), (), 3)
TWO = Item("http://x.example/2", "Two", (), ("a", "b"), 0)


def line(item: Item) -> str:
    return json.dumps({name: getattr(item, name) for name in item.__struct_fields__})


# Items


def test_an_output_that_is_whole_does_not_differ(tmp_path: Path) -> None:
    output = tmp_path / "items.jsonl"
    output.write_text(f"{line(ONE)}\n{line(TWO)}\n")
    assert not difference(read(output), Output(Counter([TWO, ONE]), 0))


def test_a_missing_output_has_lost_everything(tmp_path: Path) -> None:
    found = difference(read(tmp_path / "nothing"), Output(Counter([ONE, TWO]), 0))
    assert (found.lost, found.twice, found.foreign, found.torn) == (2, 0, 0, 0)


def test_every_kind_of_difference_is_counted(tmp_path: Path) -> None:
    output = tmp_path / "items.jsonl"
    output.write_text(f"{line(TWO)}\n{line(TWO)}\n{line(ONE)[:20]}\n{{}}\n{line(ONE)}")
    found = difference(read(output), Output(Counter([ONE]), 0))
    assert (found.lost, found.twice, found.foreign, found.torn) == (1, 1, 1, 3)


# Processes

_FAMILY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # a child
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)  # what is left is an orphan in a session of its own
time.sleep(600)
"""


def test_a_kill_reaches_every_process_and_orphans_too(tmp_path: Path) -> None:
    launched = LaunchedCommand([sys.executable, "-c", _FAMILY], tmp_path, tmp_path / "log")
    try:
        deadline = time.monotonic() + 30
        while len(launched.pids()) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not launched.ended(within=0.1)
        assert launched.memory() > 1_000_000
        assert launched.kill() >= 3
        assert launched.pids() == []
        assert launched.ended(within=5)
    finally:
        launched.close()


def test_the_end_of_a_command_has_status_time_and_cpu(tmp_path: Path) -> None:
    code = "import time; time.sleep(0.3); print('last words'); raise SystemExit(3)"
    launched = LaunchedCommand([sys.executable, "-c", code], tmp_path, tmp_path / "log")
    try:
        end = launched.finish()
    finally:
        launched.close()
    assert end.status == 3
    assert 0.3 < end.seconds < 30
    assert 0 < end.cpu < 30
    assert end.memory > 1_000_000
    assert launched.log_tail() == "last words"


# The table


def measured(crawler: Crawler, concurrency: int, rate: float, others: float = 0.0) -> Measurement:
    traffic = Traffic(pages=100, requests=101, connections=8, first=10.0, last=10.0 + 100 / rate)
    return Measurement(crawler, concurrency, traffic, 2.0, 0.5, 1.0, 1024**2, 0.1, others)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def section(*rows: Row, key: str = "site") -> Section:
    return Section(key=key, title="A site", rows=list(rows), runs=3, machine=["fast"], others=[0.1])


def test_a_row_has_medians_and_the_rates_of_the_slowest_and_the_fastest_run() -> None:
    row = row_of([measured(OURS, 8, rate) for rate in (300, 100, 120)])
    assert row.value == pytest.approx(120)
    assert row.low == pytest.approx(100)
    assert row.high == pytest.approx(300)
    assert (row.cpu, row.memory, row.connections, row.at_a_time) == (10.0, 1024**2, 8, 8)


def test_of_several_concurrencies_the_faster_one_in_the_first_turn_counts() -> None:
    runs = [measured(SCRAPY, 8, 130), measured(SCRAPY, 16, 140), measured(SCRAPY, 16, 100)]
    assert manuals.best(runs) == runs[1:]


def test_the_table_says_whether_a_figure_reaches_its_goals() -> None:
    rows = [
        ratio("against it", 90, 10, Goal(8, 10)),
        Row(name="memory", value=190.4, unit="MB", goal=Goal(250, 180, at_most=True)),
        Row(name="rate", value=1234.5, unit="pages/s", low=1000, high=2000, connections=8),
    ]
    title, *lines = map(cells, report.table([section(*rows)]).splitlines()[2:])
    assert title[:2] == ["**A site**", "3 times"]
    assert lines[0][:4] == ["against it", "**9.00 x**", "≥ 8 x ✓", "≥ 10 x ✗"]
    assert lines[1][:4] == ["memory", "**190 MB**", "≤ 250 MB ✓", "≤ 180 MB ✗"]
    assert lines[2][:4] == ["rate", "1,234 pages/s (1,000-2,000)", "", ""]
    assert len({len(line) for line in [title, *lines]}) == 1


def test_a_verdict_uses_the_figure_before_rounding() -> None:
    line = report.table([section(ratio("just not", 7.999, 1, Goal(8, None)))]).splitlines()[-1]
    assert cells(line)[1:4] == ["**8.00 x**", "≥ 8 x ✗", ""]


def test_our_rows_are_compared_with_each_crawler_that_ran() -> None:
    taken = {OURS: [measured(OURS, 8, 500)], SCRAPY: [measured(SCRAPY, 8, 50)]}
    names = [(row.name, round(row.value, 1)) for row in manuals.rows("python", taken)]
    assert names == [
        (OURS.name, 500.0),
        ("… against Scrapy tuned by hand", 10.0),
        (SCRAPY.name, 50.0),
    ]


def test_sections_are_saved_separately_and_loaded_in_order(tmp_path: Path) -> None:
    row = row_of([measured(OURS, 8, 100)])
    one, two = section(row, key="one"), section(row, key="two")
    for each in (two, one, section(key="other")):
        each.save(tmp_path)
    assert load(tmp_path, ["one", "missing", "two"]) == [one, two]


def test_the_document_names_the_machine_once_and_its_other_load() -> None:
    both = [section(key="one"), section(key="two")]
    text = report.document(both, "picture.svg", "Needs much.")
    assert text.count("- fast\n") == 1
    note = "Other programs on the machine used 0.10 cores (median of 2 runs)"
    assert note in text
    assert "](picture.svg)" in text


def test_the_chart_has_a_bar_as_long_as_the_figure_for_each_crawler() -> None:
    drawn = [measured(OURS, 8, 400), measured(SCRAPY, 8, 100)]
    text = chart.draw([section(*(row_of([one]) for one in drawn), ratio("no bar", 1, 1, None))])
    svg = ElementTree.fromstring(text)
    bars = [
        one for one in svg.iter("{http://www.w3.org/2000/svg}rect") if one.get("class") != "back"
    ]
    assert [one.get("class") for one in bars] == ["ours", "bar"]
    ours, theirs = (float(one.get("width", "0")) for one in bars)
    assert ours == pytest.approx(4 * theirs, rel=0.01)
    assert {"A site", "400 pages/s", "Scrapy, selectors, tuned by hand"} <= set(svg.itertext())


def test_a_section_that_is_measured_again_joins_the_saved_ones(tmp_path: Path) -> None:
    figures = iter([10, 20, 30])

    def measured_anew(key: str) -> Section:
        return section(ratio(f"figure of {key}", next(figures), 1, None), key=key)

    keys = ("first", "second")
    sections = {key: partial(measured_anew, key) for key in keys}
    suite = compare.Suite(sections, tmp_path / "kept", tmp_path / "report" / "RESULTS.md", "Ours.")
    compare.measure(suite, keys)
    compare.measure(suite, ["first"])
    found = {row.name: row.value for kept in compare.write(suite) for row in kept.rows}
    assert found == {"figure of first": 30, "figure of second": 20}
    text = suite.report.read_text()
    assert "30.00 x" in text
    assert "20.00 x" in text
    assert "](RESULTS.svg)" in text
    assert suite.report.with_suffix(".svg").is_file()


def test_the_frontier_has_a_row_for_each_of_its_goals() -> None:
    rows = parts.frontier(urls=20_000, seeds=10_000).rows
    assert [row.unit for row in rows if row.goal] == ["URLs/s"] * 5 + ["s", "MB"]
    assert all(row.value > 0 for row in rows)


def test_times_of_trees_are_measured_after_a_check_that_the_trees_are_equal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "a.html").write_text("<p>One<p>Two")
    tiny = {"tiny": site.Source("tiny-doc", tmp_path)}
    monkeypatch.setattr(parts, "SOURCES", tiny)
    monkeypatch.setattr(soup_trees, "SOURCES", tiny)
    ours, against, *_ = parts.trees(rounds=2, every=1).rows
    assert (ours.name, ours.unit) == ("tiny-doc, tree: response.soup", "µs/page")
    assert against.value > 0
    monkeypatch.setattr(
        soup_trees, "_beautifulsoup", lambda body: BeautifulSoup(b"<p>Else", "lxml")
    )
    with pytest.raises(CrawlError, match=r"a\.html: the trees are not the same"):
        parts.trees(rounds=2, every=1)


# Calm


def test_a_disturbed_run_is_repeated_as_long_as_the_budget_allows() -> None:
    runs = iter([0.9, 0.5, 0.7, 0.1])
    calm = Calm(most=0.3, budget=1e6)
    calm.wait = lambda: None  # type: ignore[method-assign]
    assert calm.run(lambda: next(runs), lambda others: others) == 0.1
    assert calm.again == 3


def test_without_a_budget_the_first_run_counts() -> None:
    runs = iter([0.9, 0.1])
    assert Calm(most=0.3, budget=0).run(lambda: next(runs), lambda others: others) == 0.9


# The broad crawl


def test_early_requests_are_counted_for_each_host_separately() -> None:
    visit = broad_site.Visit()
    for host, at in (("a", 0.0), ("b", 0.1), ("a", 0.3), ("b", 0.2), ("a", 0.6)):
        visit.add_request(host, 100 + at, 100 + at)
        visit.add_answer(host)
    traffic = visit.traffic()
    assert (traffic.requests, traffic.early) == (5, 1)
    assert (traffic.first, traffic.last) == (100.0, 100.6)
    assert traffic.least_gap == pytest.approx(0.1)


def test_parallel_requests_to_a_host_count_as_early() -> None:
    visit = broad_site.Visit()
    visit.add_request("a", 100.0, 100.0)
    visit.add_request("a", 101.0, 101.0)
    assert visit.traffic().early == 1


def test_a_request_that_was_noticed_late_does_not_make_the_next_one_early() -> None:
    visit = broad_site.Visit()
    for since, now in ((100.0, 100.2), (100.25, 100.26), (100.4, 100.49)):
        visit.add_request("a", since, now)
        visit.add_answer("a")
    traffic = visit.traffic()
    assert traffic.early == 1, "the third, and it alone, cannot have come late enough"
    assert traffic.least_gap == pytest.approx(0.24)


def test_the_hosts_serve_pages_of_the_promised_size_and_report_the_traffic() -> None:
    with broad_site.serve(pages=20, latency=0.0) as place:
        traffic_since = place.watch()
        with requests.Session() as session:
            for seed in (place.seeds[0], place.seeds[0].replace("/0.", "/19."), place.seeds[199]):
                answer = session.get(seed, timeout=10)
                assert answer.status_code == 200
                assert abs(len(answer.content) - broad_site.SIZE) < 20
            assert session.get(f"{place.seeds[0]}/20.html", timeout=10).status_code == 404
        traffic = traffic_since()
        assert (traffic.pages, traffic.requests, traffic.connections) == (3, 4, 2)
        assert traffic.early >= 1, "all at once is not polite"
        assert traffic_since().requests == 0, "a report begins anew"


def test_a_broad_crawl_of_ours_is_polite() -> None:
    found = broad_crawl.section(1, Calm(math.inf, 0), [OURS_BROAD], pages=2)
    rate, share, connections, early = found.rows
    assert 0 < share.value <= 100
    assert broad_site.HOSTS <= connections.value <= 2 * broad_site.HOSTS
    assert rate.connections == connections.value
    assert early.value == 0, found.notes
    assert found.notes[0].startswith("crawler, selectors: ")


def test_each_host_has_an_address_of_its_own() -> None:
    numbers = [0, 249, 250, 62_499, 62_500, 99_999]
    addresses = [broad_site.address(host) for host in numbers]
    assert addresses[0] == "127.1.0.1"
    assert len(set(addresses)) == len(numbers)
    assert [broad_site.number(address) for address in addresses] == numbers


def test_the_rate_of_each_tenth_shows_a_crawler_that_slows_down() -> None:
    visit = broad_site.Visit(delay=0.0)
    assert visit.traffic().tenths == []
    for step in range(21):
        visit.add_request("a", 0.0, 100 + min(step, 10) + 2 * max(0, step - 10))
    assert visit.traffic().tenths == pytest.approx([1.0] * 5 + [0.5] * 5)


def test_slow_hosts_are_compared_with_a_fast_one() -> None:
    rows = slow_crawl.slow(1, Calm(math.inf, 0), hosts=20, pages=2, peers=()).rows
    by_name = {row.name: row for row in rows}
    assert rows[0].value > 0
    assert by_name["… connections for a host"].value == 1
    assert by_name["… requests that came too early"].value == 0
    assert by_name["… CPU for a page, slow against fast"].value > 0
    assert by_name["… memory of all processes"].value > 0


def test_over_https_every_connection_has_one_handshake() -> None:
    rows = slow_crawl.private(1, Calm(math.inf, 0), hosts=broad_site.NAMES + 5, pages=2).rows
    by_name = {row.name: row for row in rows}
    assert by_name["… connections for a host"].value == 1
    assert by_name["… handshakes for a connection"].value == 1


def test_many_hosts_have_a_rate_for_their_last_tenth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many_hosts, "LATENCY", 0.0)
    monkeypatch.setattr(many_hosts, "DELAY", 0.1)
    rows = many_hosts.section(1, Calm(math.inf, 0), at_work=20, in_all=50).rows
    assert [row.connections for row in rows if row.unit == "pages/s"] == [20, 20, 50]
    assert [row.value > 0 for row in rows if row.unit == "x"] == [True] * 4
    assert [row.value > 10 for row in rows if row.unit == "MB"] == [True] * 3


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_members_pages_need_one_login(tmp_path: Path) -> None:
    interpreter = tmp_path / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    ours, logins, against, before = member_site.section(
        1, Calm(math.inf, 0), pages=30, against=tmp_path
    ).rows
    assert (logins.value, before.name) == (1, f"{ours.name}, before")
    assert against.value == ours.value / before.value


def test_members_pages_redirect_strangers_to_a_form_of_the_promised_size() -> None:
    with member_site.serve(3) as members:
        traffic_since = members.watch()
        with requests.Session() as session:
            assert session.get(members.seeds[0]).url == members.arguments["form"]
            page = session.post(members.arguments["form"], {"user": "ada"})
            assert page.url == members.seeds[0]
            assert 0 <= member_site.SIZE - len(page.content) < 2_000
        traffic = traffic_since()
    assert (traffic.pages, traffic.logins) == (1, 1)


def test_a_crawler_that_cannot_run_is_omitted_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    environments.go_crawler.cache_clear()
    found, notes = manuals.available([OURS, GO_CRAWLER])
    assert found == [OURS]
    (note,) = notes
    assert note.startswith("Not compared: for a Go crawler: apt-get install golang-go ")


# What a session saves


def test_each_variant_gets_every_page_and_only_sessions_reuse_connections() -> None:
    rows = reuse.compare(pages=5, runs=1)
    assert [row.connections for row in rows] == [10, 1, 1] * 2
    assert reuse.table(rows).count("| 1.0 x |") >= 2


# The server


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
def test_the_server_logs_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not tmp_path: started as root, nginx reads as another user, who may not enter there.
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "index.html").write_text("<h1>Hello</h1>")
        monkeypatch.setitem(site.SOURCES, "tiny", site.Source("tiny-doc", Path(folder)))
        hit = ask_tiny()
    assert (hit.uri, hit.status, hit.is_page) == ("/index.html", 200, True)


def ask_tiny() -> site.Hit:
    with site.serve("tiny") as tiny:
        since = tiny.log_end()
        with urllib.request.urlopen(tiny.seeds[0]) as response:
            assert response.read() == b"<h1>Hello</h1>"
        (hit,) = tiny.hits(since)
    return hit


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("peer", [OURS_SOUP, GO_CRAWLER], ids=lambda one: one.key)
def test_other_crawlers_find_the_same_pages_and_write_the_same_items(peer: Crawler) -> None:
    try:
        peer.prepare()
    except MissingDependencyError as error:
        pytest.skip(str(error))
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        Path(folder, "index.html").write_text('<title> A\n b</title><a href="b.html#x">B</a>')
        Path(folder, "b.html").write_text("<title>B</title><h1>1 <i>2</i></h1><h2>3</h2><a>-</a>")
        with site.serve_source("small", site.Source("small", Path(folder))) as small:
            ours, output = measure(OURS, 8, small)
            theirs, items = measure(peer, 8, small)
    check(theirs, items, output)
    assert (ours.traffic.pages, theirs.traffic.pages) == (2, 2)
    assert 0 < theirs.starting < theirs.wall
    short = Output(Counter(list(items.items)[:1]), 0)
    with pytest.raises(CrawlError, match="1 lost"):
        check(theirs, short, output)


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(site.SOURCES, "tiny", site.Source("tiny-doc", tmp_path))
    with pytest.raises(site.PackagesError, match=r"apt-get install (nginx )?tiny-doc$"):
        site.check_packages(["tiny"])
