"""The docs are tests: their examples run, their commands run, their lists are complete.

Each page is read from top to bottom, in a folder of its own, as a reader would who types it along:

- A block whose first line is a comment with a file's name (``# spiders/books.py``) becomes that
  file. Other ``python`` blocks are run, each as a script of its own.
- In ``console`` blocks each line that begins with ``$ `` is run. The lines below it must be found
  in what it says, in that order; ``…`` stands for anything.
- An HTML comment right before a block says what is special about it: ``exit status 2`` (of its
  last command), ``Ctrl-C half way``, ``kill -9 half way``, or ``not run:`` and the reason.

``make`` is left out: it is what runs these tests.

The shop is on a free port, and nobody else waits for it: every ``delay`` is 0.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import click
import pytest

import crawler
from crawler import settings
from crawler.cli.main import commands
from crawler.demo.server import DemoServer
from crawler.demo.shop import URL
from crawler.parsing import forms
from crawler.stats import Counters

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PATIENCE = 60.0
"""Seconds that one command of the docs may take."""


# Blocks


@dataclass
class Block:
    """A fenced block, and the HTML comment before it."""

    language: str
    line: int
    note: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        match = re.fullmatch(r"# ([\w./-]+\.\w+)", self.lines[0]) if self.lines else None
        return match[1] if match else None

    @property
    def text(self) -> str:
        """The text of the block."""
        return "\n".join(self.lines) + "\n"


def blocks_of(text: str) -> Iterator[Block]:
    """The fenced blocks of a page. An HTML comment speaks of the block that is right below it."""
    note, block = "", None
    for number, line in enumerate(text.splitlines(), 1):
        if block is not None:
            if line.startswith("```"):
                yield block
                note, block = "", None
            else:
                block.lines.append(line)
        elif line.startswith("```"):
            block = Block(line[3:].strip(), number, note)
        elif match := re.fullmatch(r"<!-- (.*) -->", line):
            note = match[1]
        elif line.strip():
            note = ""
    assert block is None, "the last block has no end"


@dataclass
class Step:
    """One command of a ``console`` block, and its expected output."""

    command: str
    shown: list[str] = field(default_factory=list)


def steps_of(block: Block) -> list[Step]:
    """The commands of a ``console`` block."""
    steps: list[Step] = []
    for line in block.lines:
        if line.startswith("$ "):
            steps.append(Step(line[2:]))
        else:
            assert steps, f"line {block.line}: a console block begins with a command"
            steps[-1].shown.append(line)
    return steps


# Running them


class Reader:
    """A reader who types the examples in ``folder``, with the shop at ``url``."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        shims = folder / ".bin"
        shims.mkdir()
        crawl = shims / "crawl"
        crawl.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crawler "$@"\n')
        crawl.chmod(0o755)
        self.environment = {
            **os.environ,
            "PATH": f"{shims}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "error",
            "COLUMNS": "200",
        }
        self.set_delay(0)

    def set_delay(self, seconds: float) -> None:
        """The content of the reader's pyproject.toml, so that commands need no further options."""
        (self.folder / "pyproject.toml").write_text(f"[tool.crawler]\ndelay = {seconds}\n")

    def do(self, block: Block) -> None:
        """Execute a block."""
        if block.note.startswith("not run: "):
            return
        if block.file is not None:
            self.save(block.file, block.text)
        elif block.language == "python":
            self.script(block.text)
        elif block.language == "console":
            self.type(block)
        else:
            assert block.language in {"text", ""}, f"nobody knows what {block.language} is"

    def save(self, name: str, text: str) -> None:
        """Save a file, at the shop's real address and without a delay."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"(?m)^( *delay) = .*", r"\1 = 0", self.here(text)))

    def script(self, text: str) -> None:
        """Run a block as a script."""
        (self.folder / "example.py").write_text(self.here(text))
        ran = self.run([sys.executable, "example.py"])
        assert ran.returncode == 0, ran.stdout

    def type(self, block: Block) -> None:
        """Run the commands of a ``console`` block."""
        *others, last = steps_of(block)
        for step in others:
            self.command(step, 0)
        if block.note in {"Ctrl-C half way", "kill -9 half way"}:
            self.interrupt(last, hard=block.note.startswith("kill"))
        else:
            status = re.fullmatch(r"exit status (\d)", block.note)
            assert status or not block.note, f"nobody knows what {block.note!r} means"
            self.command(last, int(status[1]) if status else 0)

    def command(self, step: Step, status: int) -> None:
        """Run one command to its end. Variables that it exports are set for the next one."""
        if step.command.startswith("make "):
            return
        if step.command.startswith("export "):
            self.environment.update(re.findall(r"(\w+)=(\S+)", step.command))
        if step.command.startswith("unset "):
            self.environment.pop(step.command.removeprefix("unset "))
        line = re.sub(r"-s delay=\S+", "-s delay=0", self.here(step.command))
        ran = self.run(["bash", "-c", line])
        assert ran.returncode == status, f"$ {line}\n{ran.stdout}"
        self.compare(step, ran.stdout)

    def interrupt(self, step: Step, *, hard: bool) -> None:
        """Stop one command when there are items, but not yet all of them."""
        self.set_delay(0.3)
        process = subprocess.Popen(
            ["bash", "-c", self.here(step.command)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        began = time.time()
        try:
            while not self.has_items(since=began) and time.time() < began + PATIENCE:
                time.sleep(0.02)
            assert process.poll() is None, "it was over before it could be stopped"
            os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGINT)
            said, _ = process.communicate(timeout=PATIENCE)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.set_delay(0)
        assert process.returncode == (-signal.SIGKILL if hard else 3), said
        self.compare(step, said)

    def has_items(self, *, since: float) -> bool:
        """Return True if a job that was begun after ``since`` has written items."""
        files = [path.stat() for path in self.folder.glob("data/jobs/*/items.jsonl")]
        return any(file.st_size and file.st_mtime > since for file in files)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the reader's folder."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def compare(self, step: Step, said: str) -> None:
        """Check that the command prints the output on the page."""
        rest = iter(said.splitlines())
        for shown in map(self.here, step.shown):
            pattern = ".*".join(map(re.escape, shown.split("…")))
            found = any(re.fullmatch(pattern, line.rstrip()) for line in rest)
            assert found, f"$ {step.command}\n{said}\ndoes not say: {shown}"

    def here(self, text: str) -> str:
        """``text`` with the shop's real address."""
        return text.replace(URL, self.url).replace(URL.removeprefix("http://"), self.url[7:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_run(page: Path, tmp_path: Path) -> None:
    blocks = list(blocks_of(page.read_text(encoding="utf-8")))
    with DemoServer() as server:
        reader = Reader(tmp_path, server.url)
        for block in blocks:
            wrong = ""
            try:
                reader.do(block)
            except AssertionError as error:
                wrong = f"{page.name}, line {block.line}: {error}"
            if wrong:
                pytest.fail(wrong, pytrace=False)


# The reference is complete


def section(heading: str) -> str:
    """Return the text under a heading of the reference, with its smaller headings."""
    match = re.search(rf"(?m)^(#+) {re.escape(heading)}$", REFERENCE)
    assert match, f"docs/reference.md has no heading {heading!r}"
    rest = REFERENCE[match.end() :]
    end = re.search(rf"(?m)^#{{1,{len(match[1])}}} ", rest)
    return rest[: end.start()] if end else rest


def test_every_setting_is_in_the_reference() -> None:
    rows = re.findall(r"(?m)^\| `(\w+)` \| (.*?) \|", section("Settings"))
    defaults = {item.name: shown_default(item.default) for item in fields(settings.Settings)}
    assert dict(rows) == defaults
    assert [name for name, _ in rows] == list(defaults), "in the order of Settings"


def shown_default(value: Any) -> str:
    """A default as the reference writes it."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return (
        f"`{value}`"
        if isinstance(value, str)
        else f"{value:,g}"
        if value < 1e4
        else f"{value:,.0f}"
    )


@pytest.mark.parametrize("name", crawler.__all__)
def test_every_public_name_is_in_the_reference(name: str) -> None:
    assert re.search(rf"`(class )?{name}\b", REFERENCE)


def public(kind: type) -> list[str]:
    """The attributes of a class that do not begin with an underscore."""
    names = [*getattr(kind, "__struct_fields__", ()), *getattr(kind, "__annotations__", ())]
    names += vars(kind)
    return sorted({name for name in names if not name.startswith("_")})


@pytest.mark.parametrize(
    ("heading", "kind", "private"),
    [
        ("Spider", crawler.Spider, {"logs_in"}),
        ("Request", crawler.Request, set()),
        ("Response", crawler.Response, set()),
        ("Failure", crawler.Failure, set()),
        ("Link", crawler.Link, set()),
        ("Form", forms.Form, {"base", "page"}),
        ("Errors", crawler.FetchError, set()),
        ("The job's counters", Counters, set()),
    ],
)
def test_every_attribute_is_in_the_reference(heading: str, kind: type, private: set[str]) -> None:
    text = section(heading)
    missing = [name for name in public(kind) if not re.search(rf"`[^`\n]*\b{name}\b[^`\n]*`", text)]
    assert set(missing) - private == set()


def test_every_command_and_option_is_in_the_reference() -> None:
    for name, command in commands.commands.items():
        text = section(f"crawl {name}")
        for parameter in command.params:
            missing = [opt for opt in words_for(parameter) if not re.search(rf"`{opt}\b", text)]
            assert not missing, f"crawl {name}: {missing}"
    for parameter in commands.params:
        said = section("The command line")
        assert all(re.search(rf"`[^`]*{word}\b", said) for word in words_for(parameter))


def words_for(parameter: click.Parameter) -> list[str]:
    """Return the words by which a reader finds an option or an argument."""
    if isinstance(parameter, click.Option):
        return [*parameter.opts, *parameter.secondary_opts]
    return [re.sub(r"[^A-Z]", "", parameter.make_metavar(click.Context(commands)))]


def test_every_field_of_the_status_is_in_the_reference(tmp_path: Path) -> None:
    job = tmp_path / "job"
    with DemoServer() as server:

        class Titles(crawler.Spider):
            def parse(self, response: crawler.Response) -> dict[str, str]:
                return {"url": response.url}

        assert len(list(crawler.crawl(Titles, seeds=[server.url], job=job, delay=0))) == 1
    said = Reader(tmp_path, "").run([sys.executable, "-m", "crawler", "status", "job", "--json"])
    shown = set(re.findall(r"(?m)^\| `(\w+)` \|", section("crawl status")))
    assert shown == set(json.loads(said.stdout))


def test_every_exit_status_is_in_the_reference() -> None:
    shown = re.findall(r"(?m)^\| (\d+) \|", section("Exit status"))
    assert shown == ["0", "1", "2", "3", "4", "5", "130"]


# Pages


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"


def prose(page: Path) -> str:
    """A page without its blocks and its code."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ (.*)$", text)
    return {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_nothing_speaks_of_this_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.])/(work|home|root|tmp|Users)/", text)
    assert str(Path.home()) not in text or str(Path.home()) == "/"


def test_every_decision_has_its_parts() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert pages
    for number, page in enumerate(pages, 1):
        assert page.name.startswith(f"{number:04}-")
        headings = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
        assert headings[0].startswith(f"{number}. ")
        assert headings[1:] == ["Context", "Decision", "Why", "What it costs"]


def test_the_eight_hops_are_the_same_in_each_place_and_in_the_code() -> None:
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    drawn = re.findall(r"│ (\d)  (\w+\.\w+) ", guide)
    named = re.findall(r"`([\w.]+)`", readme.partition("is eight hops:")[2].partition(". ")[0])
    assert [hop for _, hop in sorted(drawn)] == named
    assert len(named) == 8
    code = [place.read_text(encoding="utf-8") for place in (ROOT / "crawler").rglob("*.py")]
    for _, hop in drawn:
        owner, _, method = hop.rpartition(".")
        assert any(f"    def {method}(" in text and f"class {owner}" in text for text in code)
