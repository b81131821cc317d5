"""Channel: messages between two processes, over a socket: each one its length, then its bytes.

One end may block, as a worker does that has nothing else to do. The other end, in an event loop,
must not: two ends that wait for each other to read would wait for ever.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterable
from typing import Self

_LENGTH = 4
_BLOCK = 256 * 1024


class Channel:
    """One end of a connection. ``read`` and ``send`` block, ``write`` does not."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._incoming = bytearray()
        self._block = bytearray(_BLOCK)
        self._outgoing = bytearray()

    @classmethod
    def pair(cls) -> tuple[Self, Self]:
        """Return the two ends of a new connection."""
        ours, theirs = socket.socketpair()
        return cls(ours), cls(theirs)

    def __getstate__(self) -> socket.socket:
        return self._socket

    def __setstate__(self, connection: socket.socket) -> None:
        self.__init__(connection)  # type: ignore[misc]

    def fileno(self) -> int:
        """Return the number of the file handle."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end; the other one reads what was sent, and then EOFError."""
        self._socket.close()

    # Reading

    def read(self) -> list[bytes]:
        """Return all whole messages that have come, maybe none; block until something comes.

        Raises EOFError when the other end is closed, also in the middle of a message.
        """
        try:
            size = self._socket.recv_into(self._block)
        except BlockingIOError:
            return []
        except OSError:  # reset: the other process was killed
            size = 0
        if not size:
            raise EOFError
        self._incoming += memoryview(self._block)[:size]
        return self._whole_messages()

    def receive(self) -> bytes:
        """Return the next message, and read no byte of those behind it. Raises EOFError."""
        return self._exactly(int.from_bytes(self._exactly(_LENGTH), "little"))

    def _exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            block = self._socket.recv(size - len(data))
            if not block:
                raise EOFError
            data += block
        return bytes(data)

    def _whole_messages(self) -> list[bytes]:
        messages, incoming, start = [], self._incoming, 0
        while len(incoming) - start >= _LENGTH:
            begin = start + _LENGTH
            end = begin + int.from_bytes(incoming[start:begin], "little")
            if end > len(incoming):
                break
            messages.append(bytes(memoryview(incoming)[begin:end]))
            start = end
        del incoming[:start]
        return messages

    def can_read(self, timeout: float | None = 0.0) -> bool:
        """Return True if ``read`` would not block, waiting at most ``timeout`` seconds for it."""
        if not hasattr(select, "poll"):  # Windows
            return bool(select.select([self._socket], [], [], timeout)[0])
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    # Writing

    def send(self, *messages: bytes) -> None:
        """Send ``messages``; block until they are on their way. Raises OSError."""
        self._socket.sendall(b"".join(_framed(messages)))

    def write(self, message: bytes) -> bool:
        """Send a message as far as the other end reads, and keep the rest for ``flush``.

        Returns True if nothing is left. The socket is one that ``set_blocking`` made non-blocking.
        """
        pieces = _framed([message])
        if not self._outgoing:
            size = sum(map(len, pieces))
            sent = self._try_to_send(pieces)
            if sent == size:
                return True
            pieces = [b"".join(pieces)[sent:]]
        for piece in pieces:
            self._outgoing += piece
        return False

    def flush(self) -> bool:
        """Go on writing; return True if nothing is left."""
        if self._outgoing:
            del self._outgoing[: self._try_to_send([self._outgoing])]
        return not self._outgoing

    @property
    def unsent(self) -> int:
        """The bytes that wait for the other end to read."""
        return len(self._outgoing)

    def set_blocking(self, blocking: bool) -> None:
        """Choose whether ``read`` waits until something comes."""
        self._socket.setblocking(blocking)

    def _try_to_send(self, pieces: list[bytes] | list[bytearray]) -> int:
        try:
            if hasattr(self._socket, "sendmsg"):
                return self._socket.sendmsg(pieces)
            return self._socket.send(b"".join(pieces))
        except BlockingIOError:
            return 0
        except OSError:  # the other end is closed, as a read will say
            self._outgoing.clear()
            return sum(map(len, pieces))


def _framed(messages: Iterable[bytes]) -> list[bytes]:
    pieces: list[bytes] = []
    for message in messages:
        pieces += (len(message).to_bytes(_LENGTH, "little"), message)
    return pieces
