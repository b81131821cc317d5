"""HTTP/1.1 for small fast test servers that run in a process of their own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

HTML = "text/html; charset=utf-8"


class Conversation(asyncio.Protocol):
    """One connection: requests are answered in their order by ``answer``, to ``transport``."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            size = _body_size(head)
            if len(self._data) < end + 4 + size:
                return
            body = self._data[end + 4 : end + 4 + size]
            self._data = self._data[end + 4 + size :]
            method, path, _ = head.split(b" ", 2)
            self.answer(method.decode(), path.decode(), head, body)

    def answer(self, method: str, path: str, head: bytes, body: bytes) -> None:
        """Write an answer to ``transport``, now or later."""
        raise NotImplementedError


def _body_size(head: bytes) -> int:
    _, _, found = head.lower().partition(b"\r\ncontent-length:")
    return int(found.partition(b"\r\n")[0]) if found else 0


def reply(status: str, body: str = "", *headers: str, length: int | None = None) -> bytes:
    """A response; ``length`` is a wrong Content-Length."""
    size = len(body) if length is None else length
    lines = [f"Content-Type: {HTML}", f"Content-Length: {size}", *headers]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", body]).encode()


def start(module: str, *words: str) -> tuple[subprocess.Popen[str], int]:
    """``python -m module`` as a server: its process, and the port that it says first."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())
