"""Untrusted text on a terminal and in the log: seeds, servers, titles and questions."""

from __future__ import annotations

import io
import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.cli import main as cli
from crawler.cli import prompts as person
from crawler.cli.progress import Progress
from crawler.job.seeds import BadSeed
from crawler.output.log import log_to
from crawler.session.masking import Mask
from crawler.text import one_line, printable
from tests.sites import Site

CLEAR = "\x1b[2J"
"""Clears the screen of a terminal that takes it for a command."""
HOSTILE = f"{CLEAR}\x1b]0;title\x07\r\x9b31m\x7f\u202e\u2028"


def commands(text: str) -> set[str]:
    return {
        char for char in text if char not in "\n\t" and (ord(char) < 32 or 126 < ord(char) < 160)
    }


def test_commands_are_written_out() -> None:
    assert printable("a\x1b[2Jb\n\tc") == "a\\x1b[2Jb\n\tc"
    assert one_line("a\nb\u2028c") == "a\\nb\\u2028c"
    assert printable("\u202egnp.exe") == "\\u202egnp.exe"


@given(st.text())
def test_no_command_is_left(text: str) -> None:
    assert not commands(printable(text))
    assert not commands(one_line(text))
    assert "\n" not in one_line(text)
    printable(text).encode()  # the halves of characters cannot be printed at all


@given(st.text(st.characters(exclude_categories=["C", "Zl", "Zp"])))
def test_all_other_text_stays(text: str) -> None:
    assert printable(text) == one_line(text) == text


def test_a_bad_seed_cannot_command_the_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.bad_seed(BadSeed("seeds.txt:1", "x", f"needs a scheme: https://x{HOSTILE}"))
    assert "seeds.txt:1" in stream.getvalue()
    assert not commands(stream.getvalue())
    assert len(stream.getvalue().splitlines()) == 1


def test_an_error_cannot_command_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.execute(["run", f"spiders/no{HOSTILE}.py"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("crawl: ")
    assert not commands(said)


def test_a_question_cannot_command_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("1234\n"))
    assert person.terminal_prompt(f"The code of {HOSTILE}", False) == "1234"
    assert "The code of" in (said := capsys.readouterr().err)
    assert not commands(said)


def test_the_log_has_no_events_that_did_not_happen(tmp_path: Path) -> None:
    """A message that has line ends in it goes on below its own event."""
    path = tmp_path / "run.log"
    forged = "2030-01-01 00:00:00,000 INFO MainProcess crawler.session.login: anna: logged in"
    with log_to(path, Mask()):
        logging.getLogger("crawler.test").warning("the title is %s\n%s", HOSTILE, forged)
    text = path.read_text(encoding="utf-8")
    assert not commands(text)
    assert [line for line in text.splitlines() if not line.startswith("  ")] == [
        text.splitlines()[0]
    ]
    assert f"\n  {forged}\n" in text


RAISES = """
from crawler import Spider


class Raises(Spider):
    delay = 0
    obey_robots = False

    def parse(self, response):
        raise RuntimeError(response.css("title::text").get())
"""


def test_a_title_in_a_failure_cannot_command_the_terminal(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the page through the worker and the store to ``crawl status``."""
    monkeypatch.chdir(tmp_path)
    site.pages["/"] = f"<title>bad {HOSTILE}\nfine</title>"
    url, job = f"{site.url}/", str(tmp_path / "job")
    Path("raises.py").write_text(RAISES, encoding="utf-8")
    assert cli.execute(["run", "raises.py", url, "--job", job]) == 0
    assert cli.execute(["status", job, "--failed"]) == 0
    said = capsys.readouterr()
    assert "RuntimeError in parse()" in said.out
    assert "bad \\x1b[2J" in said.out
    assert not commands(said.out + said.err)
