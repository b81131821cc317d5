"""The sink of a job's items, as a protocol: bytes are appended, and counted with each commit.

The store of the job keeps ``length`` and ``checksum`` of each commit. A sink is opened with those
of the last one, and then holds exactly what was committed.
"""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """A place that lines are appended to, by one job at a time."""

    length: int
    """The number of bytes that the job has appended, over all runs."""
    checksum: int
    """The checksum of those bytes, or of the last of them if they are many."""

    def append(self, lines: bytes) -> None:
        """Append whole lines, durably; ``length`` and ``checksum`` then include them.

        On an error none of them is appended. Raises JobError if the content was changed meanwhile,
        and SystemResourceError if there is no room.
        """

    def check(self) -> None:
        """Raise JobError if the content was moved, deleted or changed meanwhile."""

    def log_cut(self) -> None:
        """Log how many bytes were removed when the sink was opened, and where they are saved."""

    def close(self) -> None:
        """Let other jobs open the sink."""
