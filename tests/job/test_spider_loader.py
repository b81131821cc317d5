"""Find the spider that a name, a file or a module means, or report the fault."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from crawler import Spider
from crawler.errors import SpiderError
from crawler.job.spider_loader import SpiderSource, available, find, of_class
from tests.job.conftest import Write
from tests.job.making import BOOKS


class Here(Spider):
    """A spider of this module."""


def refusal(spec: str) -> str:
    """Return the error for a spider that cannot be loaded."""
    with pytest.raises(SpiderError) as caught:
        find(spec)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# The ways to name one


@pytest.mark.parametrize(
    "spec",
    ["books", "Books", "shop", "spiders/shop.py", "spiders/shop.py:Books", "spiders.shop:Books"],
)
def test_a_name_a_class_a_file_and_a_module_mean_the_same_spider(write: Write, spec: str) -> None:
    write("spiders/shop.py", BOOKS)
    write("spiders/other.py", BOOKS.replace("Books", "Other"))
    assert find(spec).load().name == "books"


def test_a_file_is_found_again_from_elsewhere(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("spiders/books.py", BOOKS)
    source = find("spiders/books.py")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert source.spec == f"{path}:Books"
    assert find(source.spec).load() is source.load()


def test_a_spider_s_name_wins_over_the_name_of_a_file(write: Write) -> None:
    write("spiders/old.py", BOOKS)
    write("spiders/books.py", BOOKS.replace("Books", "Other"))
    assert find("books").load().__name__ == "Books"
    assert find("other").load().__name__ == "Other"


def test_a_spider_below_the_folder_is_found_by_name(write: Write) -> None:
    write("spiders/shops/books.py", BOOKS)
    assert find("books").load().__name__ == "Books"


def test_two_spiders_with_one_name_are_ambiguous(write: Write) -> None:
    write("spiders/a.py", BOOKS)
    write("spiders/b.py", BOOKS)
    assert refusal("books") == (
        "there are several spiders 'books': choose spiders/a.py:Books or spiders/b.py:Books"
    )


def test_several_spiders_in_a_file_are_ambiguous(write: Write) -> None:
    write("spiders/two.py", BOOKS + "    class Pens(Books): ...")
    assert refusal("spiders/two.py") == (
        "spiders/two.py has several spiders: choose spiders/two.py:Books or spiders/two.py:Pens"
    )
    assert find("spiders/two.py:Pens").load().__name__ == "Pens"
    assert find("pens").load().__name__ == "Pens"


def test_a_class_that_others_extend_counts_unless_it_is_private(write: Write) -> None:
    write("spiders/two.py", BOOKS.replace("Books", "_Shop") + "    class Pens(_Shop): ...")
    assert find("spiders/two.py").load().__name__ == "Pens"
    assert find("spiders/two.py:_Shop").load().__name__ == "_Shop"


def test_imported_spiders_do_not_count(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    write("spiders/pens.py", "    from books import Books\n    class Pens(Books): ...")
    assert find("spiders/pens.py").load().__name__ == "Pens"
    assert [listing.name for listing in available()] == ["books", "pens"]


def test_a_source_means_the_same_in_another_process(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    for source in (find("books"), find("spiders.books:Books"), of_class(Here)):
        assert pickle.loads(pickle.dumps(source)).load().__name__ == source.load().__name__
    program = (
        "import pickle, sys\nsource = pickle.load(sys.stdin.buffer)\nprint(source.load().name)"
    )
    sent = pickle.dumps(find("spiders/books.py"))
    shown = subprocess.run([sys.executable, "-c", program], input=sent, capture_output=True)
    assert shown.stdout.decode().strip() == "books", shown.stderr


# What is wrong


def test_an_unknown_name_is_answered_with_the_nearest(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    assert refusal("boks") == (
        "there is no spider 'boks' in spiders/: did you mean books? (found: books)"
    )


def test_without_spiders_the_error_says_how_to_begin(write: Write) -> None:
    assert refusal("books") == (
        "there is no spider 'books' in spiders/, which does not exist; "
        "to begin with one: crawl new books"
    )


def test_a_name_that_looks_like_a_module_needs_its_class(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    assert "a module needs its class, as in package.module:Class" in refusal("spiders.books")


def test_a_broken_file_is_reported_only_if_the_spider_may_be_in_it(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    write("spiders/broken.py", "    1 +")
    assert find("books").load().name == "books"
    assert "; spiders/broken.py, line 1: syntax error: invalid syntax" in refusal("pens")
    assert refusal("broken").startswith("spiders/broken.py, line 1: syntax error")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("    x = (", "spiders/books.py, line 1: syntax error: '(' was never closed"),
        ("    import nonsense", "spiders/books.py imports 'nonsense', which is not installed here"),
        (
            "    from json import nonsense",
            "spiders/books.py cannot be imported: cannot import name 'nonsense' from 'json'",
        ),
        ("\n    1 / 0", "spiders/books.py, line 1, cannot be imported: ZeroDivisionError"),
        ("    import sys; sys.exit(3)", "spiders/books.py, line 1, cannot be imported: SystemExit"),
        ("    x = 1", "spiders/books.py has no spider: it needs a class that extends"),
        ("    from crawler import Spider", "spiders/books.py has no spider"),
        (
            BOOKS + "        name = 'a/b'",
            "Books.name is 'a/b', which cannot be the name of a folder",
        ),
        (BOOKS + "        name = 7", "Books.name is 7"),
        (BOOKS + "        name = ''", "Books.name is ''"),
        (BOOKS + "        name = '..'", "Books.name is '..'"),
    ],
)
def test_a_file_that_has_no_spider_says_why(write: Write, text: str, reason: str) -> None:
    write("spiders/books.py", text)
    assert refusal("spiders/books.py").startswith(reason)


def test_a_file_that_failed_can_be_put_right(write: Write) -> None:
    write("spiders/books.py", "    1 / 0")
    refusal("books")
    write("spiders/books.py", BOOKS)
    assert find("books").load().name == "books"


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("spiders/boks.py", "there is no file spiders/boks.py: did you mean spiders/books.py?"),
        ("nowhere/x.py", "there is no file nowhere/x.py"),
        ("./spiders", "spiders is a folder: name one of its files, as in spiders/books.py"),
        (
            "spiders/books.py:Boks",
            "spiders/books.py:Boks: there is no such class; the file has Books",
        ),
        (
            "spiders/books.py:Spider.parse",
            "spiders/books.py:Spider.parse: it is not a class that extends Spider",
        ),
        ("nothing.there:Books", "there is no module 'nothing.there', seen from "),
        ("json:Books", "json:Books: there is no such class"),
        ("json.decoder:JSONDecoder", "json.decoder:JSONDecoder: it is not a class that extends"),
    ],
)
def test_a_place_that_is_wrong_is_named(write: Write, spec: str, reason: str) -> None:
    write("spiders/books.py", BOOKS)
    assert refusal(spec).startswith(reason)


# The list


def test_the_list_has_every_spider_and_every_broken_file(write: Write) -> None:
    write("spiders/books.py", BOOKS)
    write("spiders/broken.py", "    import nonsense")
    write("spiders/helpers.py", "    X = 1")
    write("spiders/_private.py", BOOKS)
    write("spiders/.hidden/books.py", BOOKS)
    login = "        def login(self, session): ..."
    write("spiders/orders.py", "    '''Orders.'''" + BOOKS.replace("Books", "Orders") + login)
    books, broken, orders = available()
    assert (books.name, books.class_name, books.about, books.logs_in) == (
        "books",
        "Books",
        "All books.",
        False,
    )
    assert broken.error == "spiders/broken.py imports 'nonsense', which is not installed here"
    assert (orders.name, orders.logs_in) == ("orders", True)


def test_a_spider_without_words_of_its_own_has_those_of_its_file(write: Write) -> None:
    text = "    '''Pens.'''\n    from crawler import Spider\n    class Pens(Spider): ..."
    write("spiders/pens.py", text)
    assert available()[0].about == "Pens."


# Classes at hand, and instances


def test_a_class_at_hand_is_its_own_source() -> None:
    source = of_class(Here)
    assert source.load() is Here
    assert source.spec == f"{__name__}:Here"
    source.check_importable()


def test_a_class_that_no_other_process_could_import_says_so() -> None:
    class Local(Spider):
        pass

    with pytest.raises(SpiderError, match="cannot import Local: put it into a file"):
        of_class(Local).check_importable()


def test_a_script_from_standard_input_is_no_file_for_other_processes(tmp_path: Path) -> None:
    script = """
from crawler import Spider, crawl
class Here(Spider): ...
list(crawl(Here, "http://127.0.0.1:9/", workers=2))
"""
    words = [sys.executable, "-"]
    ended = subprocess.run(words, input=script, capture_output=True, text=True, cwd=tmp_path)
    assert "SpiderError: worker processes cannot import Here: put it into a file" in ended.stderr
    assert "spawn" not in ended.stderr


def test_objects_that_are_no_spider_class_are_refused() -> None:
    with pytest.raises(SpiderError, match="is not a spider: pass a class"):
        of_class(Here())  # type: ignore[arg-type]


def test_arguments_reach_the_constructor() -> None:
    spider = of_class(Here).make({"city": "Bonn"})
    assert spider.city == "Bonn"  # type: ignore[attr-defined]


class Picky(Spider):
    def __init__(self, pages: str = "1") -> None:
        self.pages = int(pages)


class Needy(Spider):
    def __init__(self, cat: str, *, shelf: str, page: str = "1") -> None:
        self.cat = cat


def test_arguments_that_the_spider_needs_are_named() -> None:
    with pytest.raises(SpiderError, match=r"^Needy needs cat, shelf: give -a cat=… -a shelf=…$"):
        of_class(Needy).make({})
    with pytest.raises(SpiderError, match=r"^Needy needs shelf: give -a shelf=…$"):
        of_class(Needy).make({"cat": "poetry"})
    assert of_class(Needy).make({"cat": "poetry", "shelf": "2"})


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"city": "Bonn"}, "Picky cannot be created with -a city: TypeError: "),
        ({"pages": "x"}, "Picky cannot be created with -a pages: ValueError: "),
        ({"delay": "2"}, "-a delay=2: delay is a setting, so say -s delay=2"),
        ({"parse": "2"}, "-a parse=2: parse is a method of Picky"),
        ({"no-name": "2"}, "-a no-name=2: 'no-name' cannot be the name of an argument"),
    ],
)
def test_arguments_that_the_spider_does_not_take(arguments: dict[str, str], reason: str) -> None:
    with pytest.raises(SpiderError) as caught:
        of_class(Picky).make(arguments)
    assert str(caught.value).startswith(reason)


def test_a_source_knows_its_spider_only_by_what_it_was_given() -> None:
    assert SpiderSource("x", module=__name__, class_name="Here").load() is Here
