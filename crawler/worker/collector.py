"""Collect what a callback yields: items become lines of the output, requests are filtered."""

from __future__ import annotations

from typing import Any

from crawler.errors import ItemError, SpiderError
from crawler.messages import Output
from crawler.output.items import ItemWriter, is_item, outputs, way_out
from crawler.parsing.response import Response
from crawler.records import NewRequest
from crawler.request import Request
from crawler.values.plain import shown
from crawler.worker.request_filter import RequestFilter


class ResultCollector:
    """Turns the results of callbacks into ``Output``. Serves one callback at a time."""

    def __init__(self, request_filter: RequestFilter, writer: ItemWriter) -> None:
        self._filter = request_filter
        self._writer = writer

    def forget(self) -> None:
        """Let the filter accept the last requests again, as their page's output may be dropped."""
        self._filter.forget()

    def collect(self, result: Any, request: Request, response: Response | None = None) -> Output:
        """Return all items and requests of a callback's ``result``, for a request and its response.

        Raises SpiderError for any other object. Then the page has no output, and its skipped links
        are counted in the next one.
        """
        items: list[bytes] = []
        rejected: list[bytes] = []
        requests: list[NewRequest] = []
        try:
            for output in outputs(result, request.callback):
                if isinstance(output, Request):
                    new = self._filter.accept(output, request.depth + 1, len(requests), response)
                    if new is not None:
                        requests.append(new)
                elif is_item(output):
                    self._add_line(output, request.url, items, rejected)
                elif output is not None:
                    raise SpiderError(
                        f"{request.callback}() yielded {shown(output)}, which is neither an item "
                        f"nor a request; {way_out(output)}"
                    )
        except BaseException:
            self._filter.forget()
            raise
        return Output(
            b"".join(items),
            len(items),
            b"".join(rejected),
            len(rejected),
            requests,
            *self._filter.pop_skipped(),
            self._writer.pop_repaired(),
        )

    def without_output(self) -> Output:
        """Return an output with the counts of skipped links only."""
        skipped_unsafe, skipped_by_limit = self._filter.pop_skipped()
        return Output(skipped_unsafe=skipped_unsafe, skipped_by_limit=skipped_by_limit)

    def _add_line(self, item: Any, url: str, items: list[bytes], rejected: list[bytes]) -> None:
        try:
            items.append(self._writer.line(item))
        except ItemError as error:
            rejected.append(self._writer.rejected(item, url, str(error)))
