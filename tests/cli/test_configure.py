"""The RunConfig that a command makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler.cli import main
from crawler.cli.configure import expected_workers, pairs
from crawler.engine.prefork import PreforkPool
from crawler.settings import usable_cores

SPIDER = """
from crawler import Spider

open("imported", "w").close()


class Books(Spider):
    {attributes}
    start_urls = ["http://127.0.0.1:1/"]
    obey_robots = False
    retries = 0

    def parse(self, response):
        pass
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, attributes: str) -> None:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(SPIDER.format(attributes=attributes))


@pytest.mark.parametrize("spec", ["books", "spiders/books.py", "spiders/books.py:Books"])
def test_the_workers_are_known_before_the_spider_is_imported(folder: Path, spec: str) -> None:
    write("spiders/books.py", "workers = 0")
    assert expected_workers(spec, {}) == 0
    assert expected_workers(spec, {"workers": "5", "delay": "soon"}) == 5
    assert expected_workers(spec, {"workers": "many"}) == 0
    Path("pyproject.toml").write_text("[tool.crawler]\nworkers = 7\n")
    assert expected_workers(spec, {}) == 0
    write("spiders/books.py", "name = 'books'")
    assert expected_workers(spec, {}) == 7
    write("spiders/books.py", "workers = None")
    assert expected_workers(spec, {}) == usable_cores()
    assert not (folder / "imported").exists()


@pytest.mark.parametrize("spec", ["nothing", "package.module:Class", "spiders", "spiders/books.py"])
def test_workers_that_cannot_be_known_are_one_for_each_core(spec: str) -> None:
    write("spiders/books.py", "workers = 1 + 0")
    write("spiders/broken.py", "workers = = 3")
    assert expected_workers(spec, {}) == usable_cores()


def test_no_more_processes_are_forked_than_the_spider_has_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = []

    class Counted(PreforkPool):
        def __init__(self, count: int) -> None:
            counts.append(count)
            super().__init__(0)

    monkeypatch.setattr(main, "PreforkPool", Counted)
    write("spiders/books.py", "workers = 0")
    assert main.execute(["run", "books"]) == 0
    assert main.execute(["resume", "books"]) == 0
    assert main.execute(["run", "books", "-s", "workers=0", "-s", "delay=0"]) == 0
    assert counts == [0, 0, 0]


def test_deny_may_be_repeated() -> None:
    words = ["deny=/a", "delay=1", "deny=/b", "delay=2"]
    assert pairs("-s", words) == {"deny": "/a,/b", "delay": "2"}
    assert pairs("-a", ["deny=/a", "deny=/b"]) == {"deny": "/b"}
