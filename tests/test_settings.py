"""Settings: their names, the order of their sources, and their values."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from crawler import Settings, Spider
from crawler.errors import SettingsError
from crawler.settings import (
    NAMES,
    check,
    from_assignments,
    from_pyproject,
    from_spider,
    resolve,
    usable_cores,
)


def refusal(values: dict[str, Any]) -> str:
    """Why these settings cannot be, as if they stood on the command line."""
    with pytest.raises(SettingsError) as caught:
        resolve(check(values, where="-s"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def pyproject(folder: Path, text: str) -> Path:
    path = folder / "pyproject.toml"
    path.write_text(text)
    return path


# Where they come from


def test_the_defaults_are_polite() -> None:
    settings = resolve()
    assert settings == Settings()
    assert (settings.delay, settings.concurrency_per_host, settings.obey_robots) == (1.0, 1, True)


def test_later_sources_win(tmp_path: Path) -> None:
    class Quick(Spider):
        delay = 0.5
        retries = 1

    path = pyproject(tmp_path, "[tool.crawler]\ndelay = 2\nretries = 9\nmax_pages = 7\n")
    sources = [from_pyproject(path), from_spider(Quick), from_assignments({"delay": "0.25"})]
    settings = resolve(*sources)
    assert (settings.delay, settings.retries, settings.max_pages) == (0.25, 1, 7)


def test_a_spider_inherits_settings_and_overrides_them() -> None:
    class Base(Spider):
        delay = 0.5
        retries = 1

    class Quick(Base):
        delay = 0

    assert from_spider(Quick) == {"delay": 0.0, "retries": 1}


def test_the_spider_itself_declares_no_settings() -> None:
    assert from_spider(Spider) == {}


def test_attributes_that_are_no_setting_are_the_spider_s_own() -> None:
    class Own(Spider):
        start_urls = ["http://a.example/"]
        city = "Bonn"
        Delay = 3

        def timeouts(self) -> None: ...

    assert from_spider(Own) == {}


@pytest.mark.parametrize("text", ["", "[tool.other]\nx = 1\n"])
def test_a_pyproject_need_not_speak_of_crawling(tmp_path: Path, text: str) -> None:
    assert from_pyproject(pyproject(tmp_path, text)) == {}
    assert from_pyproject(tmp_path / "nowhere.toml") == {}


def test_every_setting_is_documented() -> None:
    source = Path(__file__).parents[1] / "crawler" / "settings.py"
    text = source.read_text()
    for field in dataclasses.fields(Settings):
        declaration = text[text.index(f"\n    {field.name}: ") :].split("\n")
        assert declaration[2].startswith('    """'), f"{field.name} has no docstring"


# What is no setting


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"dely": "1"}, "-s: there is no setting 'dely': did you mean delay?"),
        ({"download_delay": "1"}, "-s: there is no setting 'download_delay'"),
        ({"foo": "1"}, "-s: there is no setting 'foo'; there are delay, concurrency_per_host, "),
        ({"": "1"}, "-s: there is no setting ''"),
    ],
)
def test_an_unknown_name_is_an_error(values: dict[str, str], reason: str) -> None:
    assert refusal(values).startswith(reason)


def test_an_unknown_name_in_pyproject_is_an_error(tmp_path: Path) -> None:
    path = pyproject(tmp_path, "[tool.crawler]\nmax_page = 3\n")
    with pytest.raises(SettingsError) as caught:
        from_pyproject(path)
    assert str(caught.value) == (
        f"[tool.crawler] in {path}: there is no setting 'max_page': did you mean max_pages?"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[tool.crawler\n", "is not valid TOML"),
        ("[tool]\ncrawler = 3\n", "[tool.crawler] must be a table of settings"),
    ],
)
def test_a_pyproject_that_is_wrong_is_named(tmp_path: Path, text: str, reason: str) -> None:
    path = pyproject(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        from_pyproject(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["max_page", "concurency", "timout", "obey_robot"])
def test_a_misspelt_setting_of_a_spider_is_an_error(name: str) -> None:
    misspelt = type("Misspelt", (Spider,), {name: 3})
    with pytest.raises(SettingsError, match=rf"Misspelt\.{name} is not a setting: did you mean"):
        from_spider(misspelt)


def test_a_plural_may_well_be_a_list_of_the_spiders_own() -> None:
    assert from_spider(type("Own", (Spider,), {"user_agents": ["a", "b"]})) == {}


# What a value may be


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("delay", "0.5", 0.5),
        ("delay", "0", 0.0),
        ("concurrency", "8", 8),
        ("obey_robots", "false", False),
        ("obey_robots", "1", True),
        ("workers", "none", None),
        ("max_pages", "None", None),
        ("user_agent", "mine/1", "mine/1"),
        ("retry_status", "500, 503", (500, 503)),
        ("accept_status", "404", (404,)),
        ("accept_status", "", ()),
    ],
)
def test_text_is_converted(name: str, text: str, value: object) -> None:
    settings = resolve(from_assignments({name: text}))
    assert getattr(settings, name) == value
    assert type(getattr(settings, name)) is type(value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("delay", "fast", "-s: setting delay cannot be 'fast'; it is a number"),
        ("delay", "", "-s: setting delay cannot be ''; it is a number"),
        ("delay", "none", "-s: setting delay cannot be None; it is a number"),
        ("concurrency", "1.5", "-s: setting concurrency cannot be '1.5'; it is a whole number"),
        ("obey_robots", "maybe", "-s: setting obey_robots cannot be 'maybe'; it is true or false"),
        ("max_pages", "x", "-s: setting max_pages cannot be 'x'; it is a whole number or none"),
        ("retry_status", "5xx", "-s: setting retry_status cannot be ['5xx']; it is a list of"),
        ("delay", "-1", "setting delay is -1.0, but must be at least 0"),
        ("delay", "nan", "setting delay is nan, but must be at least 0"),
        ("concurrency", "0", "setting concurrency is 0, but must be at least 1"),
        ("max_pages", "0", "setting max_pages is 0, but must be at least 1"),
        ("timeout", "0", "setting timeout must be more than 0 seconds"),
        ("user_agent", "", "setting user_agent must be one line of printable text"),
        ("user_agent", "a\nb", "setting user_agent must be one line of printable text"),
    ],
)
def test_a_value_that_cannot_be_is_an_error(name: str, value: str, reason: str) -> None:
    assert refusal({name: value}).startswith(reason)


@pytest.mark.parametrize("value", ["3", [3], {}])
def test_a_value_of_another_type_is_an_error_where_it_is_no_text(value: object) -> None:
    if value == "3":
        assert check({"delay": value}, where="x") == {"delay": 3.0}
        return
    with pytest.raises(SettingsError, match="x: setting delay cannot be"):
        check({"delay": value}, where="x")


def test_settings_do_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().delay = 3  # type: ignore[misc]


def test_by_default_there_is_a_worker_for_each_core() -> None:
    assert Settings().worker_count == usable_cores()
    assert Settings(workers=0).worker_count == 0
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)


def test_the_names_are_those_of_the_class() -> None:
    assert set(NAMES) == {field.name for field in dataclasses.fields(Settings)}


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("/thisday/{date}", ("/thisday/{date}",)),
        (r"/a/\d{1,3},/b", (r"/a/\d{1,3}", "/b")),
        (r"/a\,b, [,] ,(x,y)", ("/a,b", "[,]", "(x,y)")),
        ("none", ()),
    ],
)
def test_patterns_are_separated_by_commas(text: str, patterns: tuple[str, ...]) -> None:
    assert check({"deny": text}, where="-s")["deny"] == patterns


def test_patterns_of_all_sources_are_denied() -> None:
    sources: list[dict[str, Any]] = [{"deny": ("/a",)}, {"delay": 2.0}, {"deny": ("/b", "/c")}]
    assert resolve(*sources).deny == ("/a", "/b", "/c")
    assert resolve(*sources, {"deny": ()}).deny == ()
    assert resolve(*sources, {"deny": ()}, {"deny": ("/d",)}).deny == ("/d",)


def test_a_pattern_that_is_no_regular_expression_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"setting deny: '/a\(' is neither"):
        resolve({"deny": ("/a(",)})
