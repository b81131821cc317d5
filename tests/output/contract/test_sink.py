"""The contract of ``Sink``."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crawler.errors import JobError, JobLockedError

if TYPE_CHECKING:
    from tests.output.contract.conftest import Place


def test_lines_are_appended_and_counted(place: Place) -> None:
    with closing(place.open(0)) as sink:
        assert (place.read(), sink.length) == (b"", 0)
        sink.append(b'{"a":1}\n')
        sink.append(b"")
        sink.append('{"b":"ö"}\n{}\n'.encode())
        assert sink.length == 8 + 11 + 3
        sink.check()
    assert place.read().decode() == '{"a":1}\n{"b":"ö"}\n{}\n'


def test_a_run_continues_from_the_last_commit(place: Place) -> None:
    with closing(place.open(0)) as sink:
        sink.append(b"{}\n")
        length, checksum = sink.length, sink.checksum
        sink.append(b"[1]\n")
    with closing(place.open(length, expected=checksum)) as sink:
        assert (sink.length, sink.checksum) == (length, checksum)
        assert place.read() == b"{}\n"
        sink.log_cut()
        sink.append(b"[2]\n")
    assert place.read() == b"{}\n[2]\n"


def test_without_a_kill_bytes_behind_the_last_commit_are_refused(place: Place) -> None:
    with closing(place.open(0)) as sink:
        sink.append(b"{}\n[1]\n")
    with pytest.raises(JobError, match="bytes more than the job has written"):
        place.open(3, may_cut=False)
    assert place.read() == b"{}\n[1]\n"
    place.open(7, may_cut=False).close()


def test_content_that_has_lost_bytes_is_refused(place: Place) -> None:
    with closing(place.open(0)) as sink:
        sink.append(b"{}\n")
    with pytest.raises(JobError):
        place.open(1234)
    assert place.read() == b"{}\n"


def test_content_that_was_changed_between_two_runs_is_refused(place: Place) -> None:
    with closing(place.open(0)) as sink:
        sink.append(b"[1]\n[2]\n")
        length, checksum = sink.length, sink.checksum
    place.write(b"[1]\n[3]\n")
    with pytest.raises(JobError, match="was changed since the last run"):
        place.open(length, expected=checksum)
    place.write(b"[1]\n[2]\n[3]\n")
    place.open(length, expected=checksum).close()


@pytest.mark.parametrize("content", [b"", b"{}\n[1]\n"])
def test_content_that_is_changed_during_a_run_is_noticed(place: Place, content: bytes) -> None:
    with closing(place.open(0)) as sink:
        sink.append(b"{}\n")
        place.write(content)
        with pytest.raises(JobError, match="was changed while the job was running"):
            sink.check()
        with pytest.raises(JobError, match="was changed while the job was running"):
            sink.append(b"[2]\n")
        assert sink.length == 3
    assert place.read() == content


def test_a_sink_is_open_once(place: Place) -> None:
    with closing(place.open(0)), pytest.raises(JobLockedError):
        place.open(0)
    place.open(0).close()


def test_a_refused_sink_may_be_opened_again(place: Place) -> None:
    place.open(0).close()
    with pytest.raises(JobError):
        place.open(0, expected=12345)
    place.open(0).close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.lists(st.binary(max_size=9), max_size=3), st.integers(0, 20)), max_size=5)
)
def test_after_any_number_of_kills_the_sink_holds_the_committed_lines(
    place: Place, runs: list[tuple[list[bytes], int]]
) -> None:
    """Each run commits some lines and is killed when it has written a part of the next ones."""
    committed, checksum = b"", None
    for lines, more in runs:
        with closing(place.open(len(committed), expected=checksum)) as sink:
            assert place.read() == committed
            for line in lines:
                sink.append(line + b"\n")
                committed += line + b"\n"
            assert sink.length == len(committed)
            checksum = sink.checksum
            sink.append(b"x" * more)
    place.write(b"")
