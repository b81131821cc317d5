"""The file of JSON lines, beyond the contract of a sink."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crawler.errors import JobError, SystemResourceError
from crawler.output import jsonlines
from crawler.output.jsonlines import JSONLines
from crawler.store import checksum as crc
from crawler.store import syncing


def test_the_folder_is_created_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "items.jsonl"
    with closing(JSONLines(path, 0)) as sink:
        assert path.read_bytes() == b""
        sink.append(b'{"a":1}\n')
        sink.append(b"")
        sink.append('{"b":"ö"}\n{}\n'.encode())
        assert sink.length == path.stat().st_size == 8 + 11 + 3
    assert path.read_text("utf-8") == '{"a":1}\n{"b":"ö"}\n{}\n'


def test_removed_bytes_are_saved_line_by_line_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "items.jsonl"
    for tail in (b'{"a', b"[1]\n[2]\n", b""):
        path.write_bytes(b"{}\n" + tail)
        with closing(JSONLines(path, 3)) as sink:
            sink.log_cut()
            assert path.read_bytes() == b"{}\n"
    assert (tmp_path / "items.jsonl.cut").read_bytes() == b'{"a\n[1]\n[2]\n'
    assert [record.args for record in caplog.records] == [
        (path, size, tmp_path / "items.jsonl.cut") for size in ("3", "8")
    ]


def test_removed_bytes_are_on_the_disk_before_they_are_removed(
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
    replace_sync(monkeypatch, os.fsync)
    JSONLines(path, 3).close()
    assert calls == ["write", "fsync", "fsync", "ftruncate"]  # the file, its folder


def test_bytes_that_cannot_be_saved_are_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n[1]\n")
    (tmp_path / "items.jsonl.cut").mkdir()
    with pytest.raises(JobError, match=rf"^cannot write to {path}\.cut: "):
        JSONLines(path, 3)
    assert path.read_bytes() == b"{}\n[1]\n"


def test_saved_bytes_have_the_mode_of_the_output(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n")
    path.chmod(0o600)
    JSONLines(path, 0).close()
    assert stat.S_IMODE((tmp_path / "items.jsonl.cut").stat().st_mode) == 0o600


def test_a_file_that_has_lost_bytes_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(b"{}\n")
    with pytest.raises(JobError, match=r"has 3 bytes, but 1,234 were committed.*--fresh"):
        JSONLines(path, 1234)
    assert path.read_bytes() == b"{}\n"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"items.jsonl is missing, of which 5 bytes were"):
        JSONLines(tmp_path / "items.jsonl", 5)
    assert not (tmp_path / "items.jsonl").exists()


@pytest.mark.parametrize("where", ["folder", "file/below"])
def test_a_path_that_cannot_be_written_is_named(tmp_path: Path, where: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    path = tmp_path / where
    with pytest.raises(JobError, match=rf"^cannot write to {path}: .*give another file with -o"):
        JSONLines(path, 0)


def test_a_partial_write_continues_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:3]))
    path = tmp_path / "items.jsonl"
    with closing(JSONLines(path, 0)) as sink:
        sink.append(b'{"title":"Emma"}\n')
    assert path.read_bytes() == b'{"title":"Emma"}\n'


def test_lines_are_synced_before_they_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(JSONLines(tmp_path / "items.jsonl", 0)) as sink:
        seen = []
        replace_sync(monkeypatch, lambda _: seen.append(sink.length))
        sink.append(b"{}\n")
        assert seen == [0]
        assert sink.length == 3


def test_a_write_that_fails_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "items.jsonl"
    with closing(JSONLines(path, 0)) as sink:
        sink.append(b"{}\n")
        with monkeypatch.context() as patch:
            replace_sync(patch, _no_space)
            with pytest.raises(
                SystemResourceError, match=r"items.jsonl: No space.*free some space"
            ):
                sink.append(b"[1]\n")
        assert sink.length == 3
        assert path.read_bytes() == b"{}\n"
    with closing(JSONLines(path, 3)):
        assert path.read_bytes() == b"{}\n"


def replace_sync(monkeypatch: pytest.MonkeyPatch, sync: Callable[[int], Any]) -> None:
    """Sync the output and its folder by another function."""
    for module in (jsonlines, syncing):
        monkeypatch.setattr(module, "sync", sync)


class MacControl:
    """The ``fcntl`` of macOS, which is called for each sync that goes through to the disk."""

    F_FULLFSYNC = 51

    def __init__(self, error: OSError | None = None) -> None:
        self._error = error
        self.calls: list[int] = []

    def fcntl(self, file: int, command: int) -> int:
        assert os.fstat(file)
        self.calls.append(command)
        if self._error is not None:
            raise self._error
        return 0


@pytest.mark.parametrize("error", [None, OSError(errno.ENOTSUP, "Operation not supported")])
def test_on_macos_lines_go_through_the_cache_of_the_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    mac = MacControl(error)
    synced: list[int] = []
    monkeypatch.setattr(syncing, "_fcntl", mac)
    replace_sync(monkeypatch, syncing.full_sync)
    monkeypatch.setattr(os, "fsync", synced.append)
    with closing(JSONLines(tmp_path / "items.jsonl", 0)) as sink:  # its folder is synced
        sink.append(b"{}\n")
    assert mac.calls == [mac.F_FULLFSYNC] * 2
    assert len(synced) == (0 if error is None else 2)


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


# The checksum


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "items.jsonl"


def written(path: Path, *lines: bytes, expected: int | None = None) -> int:
    """Append ``lines`` to the file; return its checksum."""
    committed = path.stat().st_size if path.exists() else 0
    with closing(JSONLines(path, committed, expected=expected)) as sink:
        for line in lines:
            sink.append(line)
        return sink.checksum


def change(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        file.write(b"?")


MANY = [b'{"number":%d}\n' % number for number in range(1_000)]


@pytest.mark.parametrize("limit", [0, 3_000, 10**9], ids=["large", "grows large", "small"])
def test_an_unchanged_file_is_accepted(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(crc, "READ_ALL", limit)
    checksum = written(path, *MANY)
    checksum = written(path, *MANY, expected=checksum)
    assert written(path, expected=checksum) == checksum
    assert path.read_bytes() == b"".join(MANY + MANY)


@pytest.mark.parametrize(("limit", "at"), [(10**9, 5), (10**9, 15_000), (10**9, -3), (0, -3)])
def test_a_change_of_the_same_length_is_noticed(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, at: int
) -> None:
    monkeypatch.setattr(crc, "READ_ALL", limit)
    checksum = written(path, *MANY, *MANY)
    change(path, at)
    changed = path.read_bytes()
    with pytest.raises(JobError, match=r"was changed since the last run"):
        written(path, b"{}\n", expected=checksum)
    assert path.read_bytes() == changed


def test_of_a_large_file_only_the_end_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crc, "READ_ALL", 0)
    checksum = written(path, *MANY)
    change(path, 5)
    assert written(path, expected=checksum) == checksum


def test_bytes_behind_the_last_commit_are_not_in_the_checksum(path: Path) -> None:
    checksum = written(path, *MANY)
    committed = path.stat().st_size
    with path.open("ab") as file:
        file.write(b'{"half')
    with closing(JSONLines(path, committed, expected=checksum)) as sink:
        assert sink.checksum == checksum
    assert path.stat().st_size == committed
