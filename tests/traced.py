"""A spider whose worker writes the calls that one page takes; see ``tests.trace``.

The worker process imports this module, which arms the recorder there.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from crawler import Spider
from crawler.worker.executor import TaskExecutor
from tests.trace import PAGE, Recorder

if multiprocessing.current_process().name.startswith("worker") and "TRACE" in os.environ:
    # A task comes with each command, so page and command have the same number.
    Recorder(TaskExecutor._handle_command, PAGE, Path(os.environ["TRACE"])).arm()


class Traced(Spider):
    """Follows the one link of each page, and makes an item of it."""

    name = "traced"
    delay = 0
    obey_robots = False
    commit_interval = 0.01

    def parse(self, response: Any) -> Iterator[Any]:
        yield {"url": response.url}
        yield from response.follow_all("a")
