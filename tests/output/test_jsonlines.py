"""JSON lines, cut back to the committed byte."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import JobError, SystemResourceError
from crawler.output.jsonlines import JSONLines
from crawler.store import checksum


def test_lines_are_appended_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "items.jsonl"
    with JSONLines(path, 0) as sink:
        assert path.read_bytes() == b""
        sink.append(b'{"a":1}\n')
        sink.append(b"")
        sink.append('{"b":"ö"}\n{}\n'.encode())
        assert sink.length == path.stat().st_size == 8 + 11 + 3
    assert path.read_text("utf-8") == '{"a":1}\n{"b":"ö"}\n{}\n'


def test_what_was_not_committed_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n{}\n" + b'{"half')
    with JSONLines(path, 3) as sink:
        assert path.read_bytes() == b"{}\n"
        sink.append(b"[]\n")
    assert path.read_bytes() == b"{}\n[]\n"


def test_what_is_cut_off_is_kept_line_by_line_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "items.jsonl"
    for tail in (b'{"a', b"[1]\n[2]\n", b""):
        path.write_bytes(b"{}\n" + tail)
        with JSONLines(path, 3) as sink:
            sink.log_cut()
            assert path.read_bytes() == b"{}\n"
    assert (tmp_path / "items.jsonl.cut").read_bytes() == b'{"a\n[1]\n[2]\n'
    assert [record.args for record in caplog.records] == [
        (path, size, tmp_path / "items.jsonl.cut") for size in ("3", "8")
    ]


def test_what_is_cut_off_is_on_the_disk_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n[1]\n")
    calls = []

    def watch(name: str) -> None:
        real = getattr(os, name)

        def watched(*args: Any) -> Any:
            calls.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, watched)

    for name in ("write", "fsync", "ftruncate"):
        watch(name)
    JSONLines(path, 3).close()
    assert calls == ["write", "fsync", "fsync", "ftruncate"]  # the file, its folder


def test_what_cannot_be_kept_is_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n[1]\n")
    (tmp_path / "items.jsonl.cut").mkdir()
    with pytest.raises(JobError, match=rf"^cannot write to {path}\.cut: "):
        JSONLines(path, 3)
    assert path.read_bytes() == b"{}\n[1]\n"


def test_what_is_cut_off_can_be_read_by_whom_the_output_can(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n")
    path.chmod(0o600)
    JSONLines(path, 0).close()
    assert stat.S_IMODE((tmp_path / "items.jsonl.cut").stat().st_mode) == 0o600


def test_a_file_that_has_lost_bytes_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(JobError, match=r"has 3 bytes, but 1,234 had been written.*--fresh"):
        JSONLines(path, 1234)
    assert path.read_bytes() == b"{}\n"


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"items.jsonl is gone, of which 5 bytes had"):
        JSONLines(tmp_path / "items.jsonl", 5)
    assert not (tmp_path / "items.jsonl").exists()


@pytest.mark.parametrize("where", ["folder", "file/below"])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / where
    with pytest.raises(JobError, match=rf"^cannot write to {path}: .*give another file with -o"):
        JSONLines(path, 0)


def test_a_partial_write_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    path = tmp_path / "items.jsonl"
    with JSONLines(path, 0) as sink:
        sink.append(b'{"title":"Emma"}\n')
    assert path.read_bytes() == b'{"title":"Emma"}\n'


def test_lines_are_synced_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with JSONLines(tmp_path / "items.jsonl", 0) as sink:
        seen = []
        monkeypatch.setattr(os, "fsync", lambda file: seen.append(sink.length))
        sink.append(b"{}\n")
        assert seen == [0]
        assert sink.length == 3


def test_a_write_that_fails_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items.jsonl"
    with JSONLines(path, 0) as sink:
        sink.append(b"{}\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", _no_space)
            with pytest.raises(
                SystemResourceError, match=r"items.jsonl: No space.*free some space"
            ):
                sink.append(b"[1]\n")
        assert sink.length == 3
        assert path.read_bytes() == b"{}\n"
    with JSONLines(path, 3):
        assert path.read_bytes() == b"{}\n"


def _no_space(file: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    umask = os.umask(0o022)
    try:
        JSONLines(path, 0).close()
    finally:
        os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@given(
    st.lists(st.tuples(st.lists(st.binary(max_size=9), max_size=3), st.integers(0, 20)), max_size=5)
)
def test_however_often_it_is_killed_the_file_holds_what_was_committed(
    tmp_path_factory: pytest.TempPathFactory, runs: list[tuple[list[bytes], int]]
) -> None:
    """Each run commits some lines and is killed when it has written a part of the next ones."""
    path = tmp_path_factory.mktemp("sink") / "items.jsonl"
    committed = b""
    for lines, more in runs:
        with JSONLines(path, len(committed)) as sink:
            assert path.read_bytes() == committed
            for line in lines:
                sink.append(line + b"\n")
                committed += line + b"\n"
            assert sink.length == len(committed)
            sink.append(b"x" * more)


# What a file is known by


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.jsonl"


def written(path: Path, *lines: bytes, mark: int | None = None) -> int:
    """Append ``lines`` to what is there; returns the file's mark."""
    with JSONLines(path, path.stat().st_size if path.exists() else 0, mark=mark) as sink:
        for line in lines:
            sink.append(line)
        return sink.mark


def change(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        file.write(b"?")


MANY = [b'{"number":%d}\n' % number for number in range(1_000)]


@pytest.mark.parametrize("limit", [0, 3_000, 10**9], ids=["large", "grows large", "small"])
def test_a_file_is_known_again(path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(checksum, "READ_ALL", limit)
    mark = written(path, *MANY)
    mark = written(path, *MANY, mark=mark)
    assert written(path, mark=mark) == mark
    assert path.read_bytes() == b"".join(MANY + MANY)


@pytest.mark.parametrize(("limit", "at"), [(10**9, 5), (10**9, 15_000), (10**9, -3), (0, -3)])
def test_a_change_of_the_same_length_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, at: int
) -> None:
    monkeypatch.setattr(checksum, "READ_ALL", limit)
    mark = written(path, *MANY, *MANY)
    change(path, at)
    changed = path.read_bytes()
    with pytest.raises(JobError, match=r"is not as the job left it"):
        written(path, b"{}\n", mark=mark)
    assert path.read_bytes() == changed


def test_of_a_large_file_only_the_end_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksum, "READ_ALL", 0)
    mark = written(path, *MANY)
    change(path, 5)
    assert written(path, mark=mark) == mark


def test_what_a_kill_left_behind_the_end_is_no_part_of_it(path: Path) -> None:
    mark = written(path, *MANY)
    committed = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"half')
    with JSONLines(path, committed, mark=mark) as sink:
        assert sink.mark == mark
    assert path.stat().st_size == committed
