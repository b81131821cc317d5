"""The crash machine in short, and that it is not blind."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.faults import points, recorder, torture
from tests.faults.crawls import Crawl
from tests.faults.plan import Kill, Plan, Run, Target
from tests.faults.site import Site
from tests.faults.torture import Torture
from tests.faults.web import Place, Shape, Web

FLAWED = Path(__file__).with_name("flawed.py")


def test_thirty_kills() -> None:
    toll = Torture(kills=30, seed="short", size=40, kills_each=10).run()
    assert toll.wrong == []
    assert (toll.lost, toll.twice, toll.torn, toll.foreign, toll.left_behind) == (0, 0, 0, 0, 0)
    assert toll.kills.total() >= 30
    assert toll.at_points().total() >= 8
    assert toll.resumes >= 15
    assert toll.crawls >= 3
    assert toll.pages >= 3 * 80


def test_kills_of_a_login_whose_cookie_changes_with_each_page(tmp_path: Path) -> None:
    """It asks for several pages at a time, and logs in once for each kill or ended session."""
    number = torture.SHAPES.index(Shape.TOKEN)
    with Site(tmp_path) as site:
        toll = Torture(kills=8, seed="short", size=150).crawl(site, tmp_path, number, kills=8)
    assert toll.wrong == []
    assert toll.kills.total() >= 4


@pytest.mark.skipif(not recorder.is_available(), reason="strace is missing, or may not trace")
def test_deaths_of_the_machine(tmp_path: Path) -> None:
    """Each leaves a disk without some of what was not synced, and the next run goes on from it."""
    number = torture.POWER_OF - 1
    with Site(tmp_path) as site:
        toll = Torture(kills=8, seed="short", size=60).crawl(site, tmp_path, number, kills=8)
    assert toll.wrong == []
    assert toll.of(Target.MACHINE, named=False) + toll.of(Target.MACHINE, named=True) >= 3


@pytest.mark.parametrize(
    ("flaw", "point", "found"),
    [
        ("torn", "items.synced", "torn"),
        ("twice", "items.synced", "twice"),
        ("late", "commit.committed", "lost"),
    ],
)
def test_flaws_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flaw: str, point: str, found: str
) -> None:
    monkeypatch.setenv("FLAW", flaw)
    web = Web(Shape.OPEN, "flaw", 0, 30)
    with Site(tmp_path) as site:
        toll = Crawl(site, web, tmp_path, FLAWED).suffer([Run(Kill(Target.ALL, point, 2, 10**6))])
    assert toll.at_points() == {point: 1}
    assert getattr(toll, found) > 0
    assert any(f" {found}" in line for line in toll.wrong)


@pytest.mark.parametrize("arrival", [1, 4, 5])
def test_killed_between_the_transactions_of_its_seeds(tmp_path: Path, arrival: int) -> None:
    """Seeds that are to be fetched whatever was seen are in a job once all the same."""
    web = Web(Shape.SOLO, "seeds", 0, 30)
    kill = Kill(Target.MAIN, "seeds.committed", arrival, 10**6)
    with Site(tmp_path) as site:
        toll = Crawl(site, web, tmp_path).suffer([Run(kill)])
    assert toll.wrong == []
    assert toll.at_points() == {"seeds.committed": 1}


def test_kills_follow_from_the_seed() -> None:
    def runs(seed: str) -> list[Run]:
        return Plan(seed, 3, Shape.MEMBER, 30, 1000).runs()

    assert runs("a") == runs("a")
    assert runs("a") != runs("b")
    assert sum(run.kills for run in runs("a")) == 30


def test_a_thousand_kills_come_to_every_point() -> None:
    planned: Counter[str] = Counter()
    for crawl in range(33):
        shape = torture.SHAPES[crawl % len(torture.SHAPES)]
        for run in Plan("7", crawl, shape, 30, 1500).runs():
            planned.update(kill.point for kill in (run.last, *run.children))
    assert {*points.POINTS, *points.FETCHER, *points.WORKER} <= planned.keys()


def test_the_wanted_lines_do_not_depend_on_the_way() -> None:
    """Each page is one line a part, however many links and redirects lead to it."""
    web = Web(Shape.SOLO, "way", 1, 200)
    wanted = web.wanted()
    assert max(wanted.lines.values()) == 1
    assert wanted.pages > 400
    assert {line.kind for line in wanted.lines} == {
        *("page", "posted", "behind", "typed", "missing", "wrong")
    }
    assert len({web.path(Place(0, n)) for n in range(200)}) == 200
