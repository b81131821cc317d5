"""The import of a spider's file."""

from __future__ import annotations

import pickle
from pathlib import Path

from crawler.job.importing import import_file
from crawler.job.spider_loader import find
from tests.job.conftest import Write
from tests.job.making import BOOKS


def test_a_file_has_one_module_however_often_it_is_loaded(write: Write) -> None:
    path = write("spiders/books.py", BOOKS)
    assert import_file(path) is import_file(Path("spiders/books.py"))
    assert find("books").load() is find("spiders/books.py").load()


def test_a_spider_imports_from_its_folder_and_from_the_current_one(write: Write) -> None:
    write("helper_there.py", "    X = 1")
    write("spiders/helper_here.py", "    Y = 2")
    write("spiders/books.py", "    import helper_here, helper_there" + BOOKS)
    assert find("books").load().name == "books"


def test_a_spider_in_a_package_may_import_relatively(write: Write) -> None:
    write("shop_spiders/__init__.py", "")
    write("shop_spiders/base.py", BOOKS)
    path = write("shop_spiders/pens.py", "    from .base import Books\n    class Pens(Books): ...")
    assert find("shop_spiders/pens.py").load().name == "pens"
    assert import_file(path).__name__ == "shop_spiders.pens"


def test_a_spider_called_like_a_library_does_not_take_its_place(write: Write) -> None:
    for name in ("json", "requests", "colorsys"):
        write(f"spiders/{name}.py", BOOKS)
        assert find(f"spiders/{name}.py").load().name == "books"
    import colorsys  # which nothing has imported before
    import json

    assert json.loads("1") == 1
    assert colorsys.rgb_to_hls(0, 0, 0) == (0, 0, 0)


def test_dataclasses_and_instances_of_a_spider_file_can_be_pickled(write: Write) -> None:
    text = "    from __future__ import annotations\n    from dataclasses import dataclass" + BOOKS
    path = write(
        "spiders/books.py", text + "\n    @dataclass\n    class Book:\n        title: str\n"
    )
    module = import_file(path)
    assert pickle.loads(pickle.dumps(module.Book("A"))) == module.Book("A")
