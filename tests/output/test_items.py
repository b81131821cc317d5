"""Items: the types that callbacks may yield, ``item_type``, and the lines of the output."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import ItemError, SpiderError
from crawler.output.items import ItemWriter, is_item, outputs
from crawler.request import Request

URL = "https://shop.example/"


@dataclasses.dataclass
class DataBook:
    title: str
    price: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, frozen=True)
class SlotsBook:
    title: str
    price: float = 0.0
    tags: list[str] = dataclasses.field(default_factory=list)


@attrs.define
class AttrsBook:
    title: str
    price: float = 0.0
    tags: list[str] = attrs.Factory(list)


class StructBook(msgspec.Struct):
    title: str
    price: float = 0.0
    tags: list[str] = []


class PydanticBook(pydantic.BaseModel):
    title: str
    price: float = 0.0
    tags: list[str] = []


KINDS: list[Any] = [DataBook, SlotsBook, AttrsBook, StructBook, PydanticBook]
each_kind = pytest.mark.parametrize("kind", KINDS)


def soup_string() -> Any:
    return BeautifulSoup("<p>Größe</p>", "lxml").p.string  # type: ignore[union-attr]


def line(item: Any, item_type: Any = None) -> Any:
    written = ItemWriter(item_type).line(item)
    assert written.endswith(b"\n")
    assert written.count(b"\n") == 1
    return json.loads(written)


# What a callback may give


@each_kind
def test_classes_of_items_are_items(kind: Any) -> None:
    book = kind(title="Emma", price=1.5)
    assert is_item(book)
    assert list(outputs(book, "parse")) == [book]
    assert line(book) == {"title": "Emma", "price": 1.5, "tags": []}


@pytest.mark.parametrize("item", [{}, {"a": 1}, defaultdict(int, a=1), OrderedDict(a=1)])
def test_dicts_are_items(item: dict[str, int]) -> None:
    assert is_item(item)
    assert list(outputs(item, "parse")) == [item]
    assert line(item) == item


@pytest.mark.parametrize("no_item", [None, 1, 1.5, "text", b"bytes", [1], (1,), {1}, object()])
def test_other_things_are_no_items(no_item: Any) -> None:
    assert not is_item(no_item)


def test_a_callback_may_give_nothing_one_thing_or_many() -> None:
    request = Request(URL)
    assert list(outputs(None, "parse")) == []
    assert list(outputs(request, "parse")) == [request]
    assert list(outputs([request, {"a": 1}], "parse")) == [request, {"a": 1}]
    assert list(outputs((each for each in [{"a": 1}, None]), "parse")) == [{"a": 1}, None]


@pytest.mark.parametrize("nonsense", ["text", b"bytes", 1, 1.5, object(), True])
def test_a_callback_s_wrong_result_is_named(nonsense: Any) -> None:
    with pytest.raises(SpiderError, match=rf"^page\(\) returned {type(nonsense).__name__}"):
        outputs(nonsense, "page")


def test_a_long_thing_is_named_in_short() -> None:
    with pytest.raises(SpiderError) as caught:
        outputs("x" * 10_000, "page")
    assert len(str(caught.value)) < 200


# Lines


def test_lines_are_utf8_and_hold_no_line_breaks() -> None:
    written = ItemWriter().line({"title": "Größe\n日本\u2028"})
    assert written == '{"title":"Größe\\n日本\u2028"}\n'.encode()


def test_strings_of_beautifulsoup_are_strings() -> None:
    text = soup_string()
    item = {"a": text, text: 1, "list": [text], "tuple": (text,), "deep": {"b": [{"c": text}]}}
    assert line(item) == {
        "a": "Größe",
        "Größe": 1,
        "list": ["Größe"],
        "tuple": ["Größe"],
        "deep": {"b": [{"c": "Größe"}]},
    }


@each_kind
def test_strings_of_beautifulsoup_fit_where_text_is_asked_for(kind: Any) -> None:
    text = soup_string()
    wanted = {"title": "Größe", "price": 0.0, "tags": ["Größe"]}
    assert line({"title": text, "tags": [text]}, kind) == wanted
    assert line(kind(title=text, tags=[text]), kind) == wanted


def test_values_that_json_has_no_word_for() -> None:
    item = {
        "nan": math.nan,
        "inf": -math.inf,
        "decimal": Decimal("1.50"),
        "date": date(2024, 2, 29),
        "datetime": datetime(2024, 2, 29, 12, tzinfo=UTC),
        "bytes": b"\xff",
        "set": {1},
        "big": 2**80,
    }
    assert line(item) == {
        "nan": None,
        "inf": None,
        "decimal": "1.50",
        "date": "2024-02-29",
        "datetime": "2024-02-29T12:00:00Z",
        "bytes": "/w==",
        "set": [1],
        "big": 2**80,
    }


def test_models_within_other_items() -> None:
    book = PydanticBook(title="Emma")
    assert line({"book": book, "books": [book]})["book"]["title"] == "Emma"
    assert line(DataBook("x", tags=[book]))["tags"][0]["title"] == "Emma"  # type: ignore[list-item]


def circle() -> dict[str, Any]:
    item: dict[str, Any] = {}
    item["itself"] = item
    return item


class AnyModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    thing: object


UNENCODABLE: dict[str, Any] = {
    "tag": {"title": BeautifulSoup("<p>x</p>", "lxml").p},
    "object": {"thing": object()},
    "function": {"thing": len},
    "key": {(1, 2): 3},
    "circle": circle(),
    "model": AnyModel(thing=object()),
    "model within": {"model": AnyModel(thing=object())},
    "dataclass": DataBook(title=object()),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("item_type", [None, dict[str, Any]])
@pytest.mark.parametrize(
    ("item", "written"),
    [
        ({"t": "cut \ud83d"}, {"t": "cut \ufffd"}),
        ({"t": "\ude00\ud83dx", "n": 1.5}, {"t": "\ufffd\ufffdx", "n": 1.5}),
        ({"t": "whole \ud83d\ude00 ü😀"}, {"t": "whole 😀 ü😀"}),
        ({"k\udfff": [{"deep": ("\ud800",)}, None]}, {"k\ufffd": [{"deep": ["\ufffd"]}, None]}),
        (
            {"at": datetime(2026, 1, 2, tzinfo=UTC), "t": "\ud800"},
            {"at": "2026-01-02T00:00:00Z", "t": "\ufffd"},
        ),
    ],
)
def test_half_characters_are_replaced_and_counted(
    item: dict[str, Any], written: dict[str, Any], item_type: Any
) -> None:
    writer = ItemWriter(item_type)
    assert json.loads(writer.line(item).decode("utf-8")) == written
    assert writer.line({"t": "ü"}) == '{"t":"ü"}\n'.encode()
    assert (writer.pop_repaired(), writer.pop_repaired()) == (1, 0)


@pytest.mark.parametrize("name", UNENCODABLE)
@pytest.mark.parametrize("item_type", [None, dict[str, Any], DataBook, PydanticBook])
def test_items_that_cannot_be_written_are_item_errors(name: str, item_type: Any) -> None:
    with pytest.raises(ItemError):
        ItemWriter(item_type).line(UNENCODABLE[name])


@pytest.mark.parametrize("name", UNENCODABLE)
def test_items_that_cannot_be_written_can_still_be_rejected(name: str) -> None:
    rejected = json.loads(ItemWriter().rejected(UNENCODABLE[name], URL, "half \ud800 reason"))
    assert rejected["url"] == URL
    assert rejected["reason"] == "half \\ud800 reason"
    assert rejected["item"] == repr(UNENCODABLE[name])


def test_the_message_names_what_it_is_and_the_way_out() -> None:
    with pytest.raises(ItemError, match=r"holds a Tag, .* for instance with str\(\) or \.text"):
        ItemWriter().line(UNENCODABLE["tag"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False,
    allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON))
def test_items_of_json_values_come_back_unchanged(item: dict[str, Any]) -> None:
    assert line(item) == item
    assert line(item, dict[str, Any]) == item


# item_type


@each_kind
def test_a_dict_that_fits_is_filled_up_with_defaults(kind: Any) -> None:
    assert line({"title": "Emma"}, kind) == {"title": "Emma", "price": 0.0, "tags": []}
    assert line({"title": "Emma", "price": 3}, kind)["price"] == 3


# Pydantic wants its own class, or dicts.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not PydanticBook])
@pytest.mark.parametrize("other", [DataBook, AttrsBook, StructBook])
def test_an_item_of_another_class_with_the_same_fields_fits(kind: Any, other: Any) -> None:
    assert line(other(title="Emma", price=2.0), kind)["price"] == 2.0


@each_kind
@pytest.mark.parametrize(
    ("item", "what"),
    [
        ({}, "title"),
        ({"title": None}, "title"),
        ({"title": "Emma", "price": "cheap"}, "price"),
        ({"title": "Emma", "tags": [1]}, "tags"),
        ({"title": ["Emma"]}, "title"),
    ],
)
def test_items_that_do_not_fit_are_rejected_with_the_field(kind: Any, item: Any, what: str) -> None:
    with pytest.raises(ItemError, match=what):
        ItemWriter(kind).line(item)


@pytest.mark.parametrize("kind", [DataBook, SlotsBook, AttrsBook, StructBook])
def test_an_item_of_the_class_itself_is_checked_too(kind: Any) -> None:
    """Their constructors check nothing, so the class alone is no proof."""
    with pytest.raises(ItemError, match="price"):
        ItemWriter(kind).line(kind(title="Emma", price="cheap"))


def test_types_that_json_writes_as_text_can_be_asked_for() -> None:
    @dataclasses.dataclass
    class Order:
        at: datetime
        total: Decimal
        raw: bytes

    order = Order(datetime(2024, 1, 1, tzinfo=UTC), Decimal("9.90"), b"x")
    wanted = {"at": "2024-01-01T00:00:00Z", "total": "9.90", "raw": "eA=="}
    assert line(order, Order) == wanted
    assert line(dataclasses.asdict(order), Order) == wanted
    assert line(wanted, Order) == wanted


def test_a_typed_dict_may_be_asked_for() -> None:
    class Page(TypedDict):
        title: str

    assert line({"title": soup_string()}, Page) == {"title": "Größe"}
    with pytest.raises(ItemError, match="title"):
        ItemWriter(Page).line({"title": 1})


def test_rejected_lines_say_which_item_from_where_and_why() -> None:
    rejected = json.loads(ItemWriter(DataBook).rejected({"price": 1}, URL, "no title"))
    assert rejected == {"url": URL, "reason": "no title", "item": {"price": 1}}


@each_kind
def test_rejected_lines_of_every_kind(kind: Any) -> None:
    written = ItemWriter(kind).rejected(kind(title="Emma"), URL, "why")
    assert json.loads(written)["item"]["title"] == "Emma"
