"""The system calls of SQLite, taken over through ``sqlite3_vfs.xSetSystemCall``.

SQLite has that method for the sake of its own tests (https://www.sqlite.org/c3ref/vfs.html). It
is of the library that Python's ``sqlite3`` is linked with, and holds for the whole process.
"""

from __future__ import annotations

import _sqlite3
import ctypes
from collections.abc import Callable
from typing import Any

Pwrite = Callable[[int, int, int, int], int]
"""``pwrite(2)``: a file's descriptor, the data's address, how many bytes, at which place."""


class _VFS(ctypes.Structure):
    """``sqlite3_vfs``, version 3; pointers to functions that are not needed are left plain."""

    _fields_ = [
        *(("version", ctypes.c_int), ("file_size", ctypes.c_int), ("longest_path", ctypes.c_int)),
        *((name, ctypes.c_void_p) for name in ("next", "name", "data")),
        *((f"method_{number}", ctypes.c_void_p) for number in range(13)),
        *((name, ctypes.c_void_p) for name in ("set_system_call", "get_system_call", "following")),
    ]


_SET = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_GET = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)
_PWRITE = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64
)
_CALLBACKS: list[Any] = []
"""SQLite calls these until the process ends, and holds no reference."""


def replace_pwrite(watched: Callable[[Pwrite, int, int, int, int], int]) -> None:
    """Every write of SQLite goes to ``watched`` from now on, which is given the real one first."""
    library = ctypes.CDLL(_sqlite3.__file__)
    find = library.sqlite3_vfs_find
    find.restype, find.argtypes = ctypes.POINTER(_VFS), [ctypes.c_char_p]
    vfs = find(None)
    get = _GET(vfs.contents.get_system_call)
    name = next(name for name in (b"pwrite64", b"pwrite") if get(vfs, name))
    real = _PWRITE(get(vfs, name))

    def pwrite(file: int, data: int, size: int, place: int) -> int:
        return watched(real, file, data, size, place)

    _CALLBACKS.append(_PWRITE(pwrite))
    _SET(vfs.contents.set_system_call)(vfs, name, ctypes.cast(_CALLBACKS[-1], ctypes.c_void_p))
