"""Write the first spider of ``crawl new``: seven lines that run, for the user to change."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from crawler import urls
from crawler.errors import SpiderError
from crawler.job.spider_loader import FOLDER
from crawler.text import display_path

START = "https://example.com/"

TEMPLATE = """\
from crawler import Spider


class {class_name}(Spider):
    start_urls = ["{url}"]

    def parse(self, response):
        yield {{"url": response.url, "title": response.css("title::text").get()}}
        yield from response.follow_all("a")
"""


def write_spider(name: str, url: str = START, folder: Path = FOLDER) -> Path:
    """Write ``folder/NAME.py``. Raises SpiderError for a bad name or URL, or if it exists."""
    _check_name(name)
    start = urls.normalise(url)
    if start is None:
        raise SpiderError(f"{url!r} is not an http or https URL to start from")
    path = folder / f"{name}.py"
    text = TEMPLATE.format(class_name=_class_name(name), url=start.replace('"', "%22"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        existing = path if path.exists() else folder
        raise SpiderError(f"{display_path(existing)} already exists: choose another name") from None
    except OSError as error:
        raise SpiderError(f"cannot write {display_path(path)}: {error.strerror}") from None
    return path


def _check_name(name: str) -> None:
    if _class_name(name) == "Spider":
        raise SpiderError("Spider is the name of the base class: choose another name")
    if name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("_"):
        return
    better = re.sub(r"\W+", "_", name.removesuffix(".py").rpartition("/")[2]).strip("_").lower()
    usable = better.isidentifier() and not keyword.iskeyword(better)
    hint = f": try {better}" if usable else ", such as books"
    raise SpiderError(f"{name!r} cannot name a spider; it must be a Python name{hint}")


def _class_name(name: str) -> str:
    """Return the name of the class: ``MyShop`` for ``my_shop``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_"))
