"""Collecting: what a callback gives becomes lines of the output and entries of the frontier."""

from __future__ import annotations

from typing import Any

from crawler.errors import ItemError, SpiderError
from crawler.messages import Outcome
from crawler.output.items import ItemWriter, is_item, outputs
from crawler.records import NewRequest
from crawler.request import Request
from crawler.worker.request_filter import RequestFilter


class ResultCollector:
    """Puts what callbacks give into outcomes; not to be used by two callbacks at a time."""

    def __init__(self, finder: RequestFilter, writer: ItemWriter) -> None:
        self._finder = finder
        self._writer = writer

    def forget(self) -> None:
        """The last requests found may be discarded; clear the "already sent" memory so that they
        can be found again."""
        self._finder.forget()

    def collect(self, result: Any, request: Request, outcome: Outcome) -> None:
        """Items become lines and requests become frontier entries; all of them, or none."""
        items: list[bytes] = []
        rejected: list[bytes] = []
        found: list[NewRequest] = []
        skipped = self._finder.skipped_unsafe
        try:
            for output in outputs(result, request.callback):
                if isinstance(output, Request):
                    new = self._finder.accept(output, request.depth + 1, len(found))
                    if new is not None:
                        found.append(new)
                elif is_item(output):
                    self._add_line(output, request.url, items, rejected)
                elif output is not None:
                    raise SpiderError(
                        f"{request.callback}() yielded {type(output).__name__} {output!r:.60}, "
                        "which is neither an item nor a request; to follow a link: "
                        "yield response.follow(url)"
                    )
        except BaseException:
            self._finder.forget()
            raise
        finally:
            outcome.skipped += self._finder.skipped_unsafe - skipped
            outcome.left_out = self._finder.skipped_by_limit.pop_counts()
        outcome.items, outcome.item_count = b"".join(items), len(items)
        outcome.rejected, outcome.rejected_count = b"".join(rejected), len(rejected)
        outcome.found = found

    def _add_line(self, item: Any, url: str, items: list[bytes], rejected: list[bytes]) -> None:
        try:
            items.append(self._writer.line(item))
        except ItemError as error:
            rejected.append(self._writer.rejected(item, url, str(error)))
