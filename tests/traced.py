"""A spider whose processes write the calls that one page takes; see ``tests.trace``.

Each process makes a spider, which arms a recorder there.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler import Spider
from crawler.fetching.process import FetchProcess
from crawler.worker.worker import Worker
from tests.trace import PAGE, Recorder


class Traced(Spider):
    """Follows the one link of each page, and makes an item of it."""

    name = "traced"
    delay = 0
    obey_robots = False
    commit_interval = 0.01

    def __init__(self, **arguments: Any) -> None:
        """Each process makes its own spider, before its other threads start."""
        super().__init__(**arguments)
        process, folder = multiprocessing.current_process().name, os.environ.get("TRACE")
        if folder and process.startswith("worker"):
            Recorder(Worker.handle, PAGE, Path(folder, "worker.json")).arm()
        elif folder and process == "fetcher":
            # A task comes with each command, so page and command have the same number.
            Recorder(FetchProcess._obey, PAGE, Path(folder, "fetcher.json")).arm()

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all("a")
