"""Credentials: which names say that a value is secret. ``test_accounts`` has the references."""

from __future__ import annotations

from pathlib import Path

import pytest

from crawler import crawl
from crawler.cli import main as cli
from crawler.errors import AccountError
from crawler.session.credentials import refuse_in_arguments
from tests.jobs import Title

SPIDER = """
from crawler import Spider

class Orders(Spider):
    start_urls = ["https://shop.example/"]

    def parse(self, response):
        pass
"""


@pytest.mark.parametrize("name", ["password", "shop_password", "api-key", "authToken", "SECRET"])
def test_secrets_are_no_arguments(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("spiders").mkdir()
    Path("spiders/orders.py").write_text(SPIDER)
    assert cli.execute(["run", "orders", "-a", f"{name}=hunter2"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"crawl: -a {name}=… would be recorded in the job: give secrets in")
    assert "--accounts" in said
    assert "hunter2" not in said
    assert not Path("data").exists()


@pytest.mark.parametrize("name", ["tokens", "passport", "keyword", "secretary", "compass"])
def test_other_words_are_arguments(name: str) -> None:
    refuse_in_arguments([name])


def test_secrets_are_no_arguments_of_a_function() -> None:
    with pytest.raises(AccountError, match="-a token=… would be recorded"):
        list(crawl(Title, arguments={"token": "hunter2"}))
