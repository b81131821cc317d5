"""Seeds: from files in each format, standard input, the command line and the spider."""

from __future__ import annotations

import io
import itertools
import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crawler import Request, Response, Spider
from crawler.errors import SeedError, SpiderError
from crawler.job.seeds import BadSeed, absolute, check, identity, read


class Free(Spider):
    """Takes whatever columns there are."""

    def parse(self, response: Response, **columns: Any) -> None: ...


class Plain(Spider):
    def parse(self, response: Response) -> None: ...


class City(Spider):
    def parse(self, response: Response, city: str, size: int = 0) -> None: ...


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def seeds(*args: str, spider: type[Spider] = Free, stdin: str | bytes = "") -> list[Any]:
    """URLs as text, with their columns if they have any; bad seeds as they are shown."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    return [
        str(seed)
        if isinstance(seed, BadSeed)
        else (seed.url, seed.cb_kwargs)
        if seed.cb_kwargs
        else seed.url
        for seed in read(args, spider(), io.BytesIO(data))
    ]


def refusal(*args: str, spider: type[Spider] = Free, stdin: str | bytes = "") -> str:
    with pytest.raises((SeedError, SpiderError)) as caught:
        seeds(*args, spider=spider, stdin=stdin)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Plain lines


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_file_has_one_url_a_line(folder: Path, end: str, mark: str) -> None:
    lines = ["# seeds", "", "http://a.example/", "  http://b.example/x  # the other", "\t", "# end"]
    (folder / "seeds.txt").write_bytes((mark + end.join(lines)).encode())
    assert seeds("seeds.txt") == ["http://a.example/", "http://b.example/x"]


def test_a_fragment_is_no_comment() -> None:
    assert seeds("-", stdin="http://a.example/#/page\n") == ["http://a.example/"]


def test_urls_come_normalised() -> None:
    assert seeds("HTTP://Bücher.example:80/ü", "-", stdin="https://a.example\n") == [
        "http://xn--bcher-kva.example/%C3%BC",
        "https://a.example/",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("example.com/x", "'example.com/x' needs a scheme to be a URL: https://example.com/x"),
        ("localhost:8000", "'localhost:8000' needs a scheme to be a URL: https://localhost:8000"),
        ("ftp://a.example/", "'ftp://a.example/' is not an http or https URL"),
        ("mailto:a@b.example", "'mailto:***@b.example' is no URL"),
        ("http://a.example/ http://b.example/", "is more than one URL: write one a line"),
        ("http://a.example/a b", "contains white space: write %20 for a space"),
        ("http://a.example/a\tb", "contains white space: write %20 for a space"),
        ("http://", "'http://' is a broken URL"),
        ("http://a.example/\x07", "is a broken URL"),
        ("hello", "'hello' is no URL"),
        ("http://user:secret@[bad/", "'http://***@[bad/' is a broken URL"),
    ],
)
def test_a_bad_line_is_reported_and_the_rest_is_crawled(line: str, reason: str) -> None:
    text = f"http://a.example/\n\n{line}\nhttp://z.example/\n"
    first, bad, last = seeds("-", stdin=text)
    assert (first, last) == ("http://a.example/", "http://z.example/")
    assert bad.startswith("standard input:3: ")
    assert bad.endswith(reason)


def test_bytes_that_are_not_utf8_are_reported() -> None:
    found = seeds("-", stdin=b"http://a.example/\nhttp://b.example/caf\xe9\n")
    assert found[0] == "http://a.example/"
    assert found[1] == "standard input:2: 'http://b.example/caf?' is not UTF-8"


def test_an_endless_line_is_cut_and_counted_as_one() -> None:
    text = "http://a.example/\nhttp://" + "x" * 3_000_000 + "\nhello\n"
    _, long, last = seeds("-", stdin=text)
    assert len(long) < 400
    assert long.startswith("standard input:2: ")
    assert last == "standard input:3: 'hello' is no URL"


def test_a_list_of_any_length_is_read_line_by_line(folder: Path) -> None:
    with (folder / "seeds.txt").open("w") as file:
        file.writelines(f"http://a.example/{number}\n" for number in range(30_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in read(["seeds.txt"], Free()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 30_000
    assert peak < 1_000_000


# CSV


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_other_columns_of_a_csv_reach_the_callback(folder: Path, delimiter: str) -> None:
    text = 'city,URL,size\r\nBonn,http://a.example/,1\r\n\r\n"Köln",http://b.example/,\r\n'
    (folder / "seeds.csv").write_text("\ufeff" + text.replace(",", delimiter), newline="")
    assert seeds("seeds.csv", spider=City) == [
        ("http://a.example/", {"city": "Bonn", "size": "1"}),
        ("http://b.example/", {"city": "Köln", "size": ""}),
    ]


def test_a_quoted_field_may_have_commas_quotes_and_line_ends() -> None:
    text = 'url,city\nhttp://a.example/,"Bonn, ""am Rhein""\nund mehr"\nhello,x\n'
    assert seeds("-", stdin=text) == [
        ("http://a.example/", {"city": 'Bonn, "am Rhein"\nund mehr'}),
        "standard input:4: 'hello' is no URL",
    ]


def test_a_row_may_be_shorter_than_the_header_but_not_longer() -> None:
    text = "url,city\nhttp://a.example/\nhttp://b.example/,Bonn,x\nhttp://c.example/,Bonn\n"
    short, long, right = seeds("-", stdin=text)
    assert short == ("http://a.example/", {"city": ""})
    assert long == (
        "standard input:3: 'http://b.example/,Bonn,x' has 3 fields, but the header has 2"
    )
    assert right == ("http://c.example/", {"city": "Bonn"})


def test_a_column_without_a_name_is_ignored() -> None:
    assert seeds("-", stdin="url,\nhttp://a.example/,\n") == ["http://a.example/"]


def test_a_csv_of_urls_alone_needs_its_header(folder: Path) -> None:
    (folder / "seeds.csv").write_text("http://a.example/\n")
    assert refusal("seeds.csv") == (
        "seeds.csv has no column url: its first line must name the columns, as in url,city; "
        "it is 'http://a.example/'"
    )


def test_columns_of_one_name_are_refused() -> None:
    assert refusal("-", stdin="url,x,x\n") == "standard input has several columns x"


# JSON lines


def test_json_lines_keep_the_types_of_their_values(folder: Path) -> None:
    rows = [
        {"url": "http://a.example/", "city": "Bonn", "size": 3},
        {"URL": "http://b.example/", "city": "Köln"},
    ]
    lines = [*map(json.dumps, rows), "", '"http://c.example/"']
    (folder / "seeds.jsonl").write_text("\n".join(lines))
    assert seeds("seeds.jsonl") == [
        ("http://a.example/", {"city": "Bonn", "size": 3}),
        ("http://b.example/", {"city": "Köln"}),
        "http://c.example/",
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"url": ', "is no JSON: "),
        ('{"link": "http://a.example/"}', 'has no text as "url"'),
        ('{"url": 7}', 'has no text as "url"'),
        ("7", 'is not an object with a "url"'),
        ('{"url": "example.com"}', "needs a scheme to be a URL: https://example.com"),
    ],
)
def test_a_bad_line_of_json_is_reported(line: str, reason: str) -> None:
    good, bad = seeds("-", stdin='{"url": "http://a.example/"}\n' + line)
    assert good == "http://a.example/"
    assert bad.startswith("standard input:2: ")
    assert reason in bad


def test_a_json_array_is_distinguished_from_json_lines(folder: Path) -> None:
    (folder / "seeds.json").write_text('[\n{"url": "http://a.example/"}\n]')
    assert refusal("seeds.json") == (
        "seeds.json is a JSON array, but must have one object a line: "
        "jq -c '.[]' seeds.json | crawl run … -"
    )


def test_the_first_line_tells_the_format_where_the_name_does_not(folder: Path) -> None:
    (folder / "list").write_text('# mine\n\n{"url": "http://a.example/"}\n')
    (folder / "table").write_text("# mine\nname;Url\nBonn;http://b.example/\n")
    assert seeds("list", "table") == [
        "http://a.example/",
        ("http://b.example/", {"name": "Bonn"}),
    ]


# Columns and callbacks


def test_columns_that_parse_does_not_take_are_an_error_at_once() -> None:
    text = "url,city,size\nhttp://a.example/,Bonn,1\n"
    assert refusal("-", spider=Plain, stdin=text) == (
        "the columns city, size do not fit Plain.parse(): write parse(self, response, city, size)"
    )


def test_a_column_whose_name_is_no_python_name_is_taken_by_stars() -> None:
    text = "url,the city\nhttp://a.example/,Bonn\n"
    assert refusal("-", spider=City, stdin=text).endswith("write parse(self, response, **columns)")
    assert seeds("-", stdin=text) == [("http://a.example/", {"the city": "Bonn"})]


def test_a_later_row_with_other_keys_is_a_bad_seed() -> None:
    text = (
        '{"url": "http://a.example/", "city": "Bonn"}\n{"url": "http://b.example/", "zip": 1}\n'
        '{"url": "http://c.example/", "city": "Bonn", "size": 2}\n{"url": "http://d.example/"}\n'
    )
    first, wrong, right, missing = seeds("-", spider=City, stdin=text)
    assert first[0] == "http://a.example/"
    assert "the columns zip do not fit City.parse()" in wrong
    assert right[1] == {"city": "Bonn", "size": 2}
    assert missing.startswith("standard input:4: 'http://d.example/' City.parse() needs more than")


def test_a_spider_that_needs_columns_says_so_of_a_plain_list() -> None:
    assert refusal("http://a.example/", spider=City).startswith("City.parse() needs more than a")


def test_a_spider_without_parse_is_an_error_at_once() -> None:
    class Nothing(Spider):
        pass

    assert refusal("http://a.example/", spider=Nothing) == (
        "Nothing has no method parse(self, response), which receives the responses to seeds"
    )


# The spider's own


def test_without_arguments_the_spider_says_where_to_start() -> None:
    class Books(Plain):
        start_urls = ["http://a.example", "example.com"]

    assert seeds(spider=Books) == [
        "http://a.example/",
        "Books.start_urls, number 2: 'example.com' needs a scheme to be a URL: https://example.com",
    ]


def test_start_may_give_requests() -> None:
    class Books(City):
        def start(self) -> Iterator[Request | str]:
            yield Request("http://a.example", callback=self.listing, priority=3)
            yield Request("http://b.example", cb_kwargs={"city": "Bonn"})
            yield Request("nonsense", callback="listing")

        def listing(self, response: Response) -> None: ...

    first, second, bad = read([], Books())
    assert isinstance(first, Request)
    assert (first.url, first.callback, first.priority) == ("http://a.example/", "listing", 3)
    assert isinstance(second, Request)
    assert second.cb_kwargs == {"city": "Bonn"}
    assert str(bad) == "Books.start(), number 3: 'nonsense' is no URL"


def _starting(result: Any) -> type[Spider]:
    class Books(Plain):
        def start(self) -> Any:
            return result() if callable(result) else result

    return Books


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "Books.start() failed: TypeError: 'NoneType' object is not iterable"),
        (lambda: dict[str, str]()["key"], "Books.start() failed: KeyError: 'key'"),
        ([Request("http://a.example", "prase")], "callback 'prase' is not a method of Books"),
        (
            [Request("http://a.example", cb_kwargs={"x": 1})],
            "callback parse() cannot be called with x",
        ),
    ],
)
def test_a_start_that_is_wrong_is_an_error(result: Any, reason: str) -> None:
    assert refusal(spider=_starting(result)).startswith(reason)


class Unspeakable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("seed", "reason"),
    [
        (7, "'7' is no URL and no Request"),
        (None, "'None' is no URL and no Request"),
        ({"url": "http://a.example/"}, "is no URL and no Request"),
        (Unspeakable(), "'(repr() raises ZeroDivisionError)' is no URL and no Request"),
        (Request(None), "a request has url=None, but it must be an absolute http(s) URL"),  # type: ignore[arg-type]
        (
            Request("http://a.example/", priority=0.5),  # type: ignore[arg-type]
            "cannot be requested: the request for http://a.example/ has priority=float 0.5, but",
        ),
        (
            Request("http://a.example/", headers={"X": {1}}),  # type: ignore[dict-item]
            "the headers of the request for http://a.example/: 'X' is set {1}, but it must be text",
        ),
    ],
)
def test_a_wrong_seed_of_a_spider_is_named_and_the_others_are_taken(seed: Any, reason: str) -> None:
    spider = _starting(["http://a.example/", seed, Request("http://b.example/", priority=2.0)])  # type: ignore[arg-type]
    first, bad, last = read([], spider())
    assert isinstance(first, Request)
    assert isinstance(last, Request)
    assert last.priority == 2
    assert str(bad).startswith("Books.start(), number 2: ")
    assert reason in str(bad)


def test_a_start_that_exits_is_an_error() -> None:
    def start() -> Any:
        raise SystemExit(1)

    assert refusal(spider=_starting(start)) == "Books.start() failed: SystemExit: 1"


def test_a_long_name_of_a_column_is_cut_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    rows = [f'{{"url": "http://a.example/{n}", "{n}{"x" * 100_000}": 1}}' for n in range(50)]
    path.write_text("\n".join(['{"url": "http://a.example/"}', *rows]))
    tracemalloc.start()
    bad = [seed for seed in read([str(path)], Plain()) if isinstance(seed, BadSeed)]
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(bad) == 50
    assert max(len(str(seed)) for seed in bad) < 2_000
    assert kept < 2_000_000


def test_start_urls_that_are_one_text_are_an_error() -> None:
    class Books(Plain):
        start_urls = "http://a.example"

    assert refusal(spider=Books) == "Books.start_urls must be a list: write ['http://a.example']"


def test_an_endless_start_is_read_as_far_as_it_is_wanted() -> None:
    class Endless(Plain):
        def start(self) -> Iterator[str]:
            return (f"http://a.example/{number}" for number in itertools.count())

    assert len(list(itertools.islice(read([], Endless()), 1000))) == 1000


# The command line


@pytest.mark.parametrize(
    ("arg", "reason"),
    [
        ("sedes.txt", "there is no file sedes.txt: did you mean seeds.txt?"),
        ("example.com", "there is no file example.com: to mean the URL, write https://example.com"),
        (
            "shop.example/a/b",
            "there is no file shop.example/a/b: to mean the URL, write https://shop.example/a/b",
        ),
        (
            "nowhere/list.csv",
            "there is no file nowhere/list.csv: a seed is a file, a URL with http:// or https://, "
            "or - for standard input",
        ),
        ("ftp://a.example/", "'ftp://a.example/' is not an http or https URL"),
        (".", ". is a folder, not a seed list"),
        ("seeds.gz", "seeds.gz is compressed: give its text, as in zcat seeds.gz | crawl run … -"),
        ("seeds.bin", "seeds.bin is not text: a seed list is plain text in UTF-8"),
        ("utf16.txt", "utf16.txt is in UTF-16: save it in UTF-8"),
        ("a\0b", "the seed list a\0b cannot be read: embedded null byte"),
    ],
)
def test_a_seed_on_the_command_line_that_is_wrong_is_refused(
    folder: Path, arg: str, reason: str
) -> None:
    (folder / "seeds.txt").write_text("http://a.example/\n")
    (folder / "seeds.gz").write_bytes(b"\x1f\x8b\x08\x00")
    (folder / "seeds.bin").write_bytes(b"\x7fELF\0")
    (folder / "utf16.txt").write_text("http://a.example/\n", encoding="utf-16")
    with pytest.raises(SeedError) as caught:
        check(["http://a.example/", "seeds.txt", "-", arg])
    assert str(caught.value) == reason


def test_nothing_is_read_before_all_arguments_are_known_to_be_right(folder: Path) -> None:
    with pytest.raises(SeedError):
        read(["http://a.example/", "nowhere"], Free())


def test_a_pipe_of_the_shell_is_read_once() -> None:
    ours, theirs = os.pipe()
    with os.fdopen(theirs, "w") as pipe:
        pipe.write("http://a.example/\n")
    try:
        check([f"/dev/fd/{ours}"])
        assert seeds(f"/dev/fd/{ours}") == ["http://a.example/"]
        assert identity([f"/dev/fd/{ours}"]) is None
    finally:
        os.close(ours)


# Reading again


def test_the_identity_of_a_list_changes_when_it_is_written_to(folder: Path) -> None:
    path = folder / "seeds.txt"
    path.write_text("http://a.example/\n")
    before = identity(["seeds.txt", "http://a.example/"])
    assert before is not None
    assert json.loads(json.dumps(before)) == before == identity(["seeds.txt", "http://a.example/"])
    path.write_text("http://a.example/\nhttp://b.example/\n")
    assert identity(["seeds.txt", "http://a.example/"]) != before
    assert identity(["seeds.txt"]) != identity(["seeds.txt", "seeds.txt"])


@pytest.mark.parametrize("args", [[], ["-"], ["http://a.example/", "-"]])
def test_arguments_that_must_be_read_have_no_identity(args: list[str]) -> None:
    assert identity(args) is None


def test_arguments_are_resolved_from_any_folder(folder: Path) -> None:
    assert absolute(["-", "http://a.example/", "x.txt"]) == [
        "-",
        "http://a.example/",
        str(folder / "x.txt"),
    ]
