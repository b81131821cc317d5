"""A site whose session gets a new cookie with each page, and whose old cookies die."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from crawler.demo.server import DemoServer
from crawler.demo.shop import Shop
from tests.commands import Command
from tests.conftest import wait_until
from tests.jobs import items, rows, values

SPIDERS = Path(__file__).with_name("visitors.py")


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[DemoServer]:
    """A shop with 165 pages behind its login, and rotating cookies."""
    with DemoServer(Shop(orders=150), latency=0.005, rotate_cookies=True) as server:
        monkeypatch.setenv("APP_URL", server.url)
        monkeypatch.setenv("APP_USER", server.shop.user)
        monkeypatch.setenv("APP_PASSWORD", server.shop.password)
        yield server


def crawl(shop: DemoServer, folder: Path, concurrency: int) -> Command:
    """The command, the same each time."""
    return Command(
        f"{SPIDERS}:Orders",
        folder,
        f"{shop.url}/orders",
        workers=2,
        concurrency_per_host=concurrency,
    )


def check_whole(shop: DemoServer, folder: Path, last: Command) -> None:
    """Every page behind the login is in the output once."""
    assert last.wait() == 0, last.said
    pages = sorted(shop.url + path for path in shop.shop.order_paths())
    assert len(pages) == 165
    assert values(items(folder)) == pages
    assert rows(folder, "SELECT url, cause FROM failed") == []


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_site_with_rotating_cookies_is_crawled_whole(
    tmp_path: Path, shop: DemoServer, concurrency: int
) -> None:
    command = crawl(shop, tmp_path / "job", concurrency)
    check_whole(shop, tmp_path / "job", command)
    assert shop.counters.logins == 1


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_site_that_ends_its_sessions_as_well(
    tmp_path: Path, shop: DemoServer, concurrency: int
) -> None:
    """A session is good for the page that its login leads to, and for 49 more."""
    shop.sessions.max_requests = 50
    command = crawl(shop, tmp_path / "job", concurrency)
    check_whole(shop, tmp_path / "job", command)
    assert shop.counters.logins == 4


def test_killed_five_times(tmp_path: Path, shop: DemoServer) -> None:
    """A cookie that came with a page that no commit has is lost: at most one login a kill."""
    chance = random.Random(4)
    for _ in range(5):
        until = len(shop.log) + chance.randint(5, 40)
        command = crawl(shop, tmp_path / "job", 1)
        wait_until(
            lambda: len(shop.log) >= until or command.process.poll() is not None,  # noqa: B023
            lambda: f"no {until} requests; it said:\n{command.said}",  # noqa: B023
        )
        assert command.process.poll() is None, f"it ended before it was killed:\n{command.said}"
        command.kill()
    check_whole(shop, tmp_path / "job", crawl(shop, tmp_path / "job", 1))
    assert 1 <= shop.counters.logins <= 6
