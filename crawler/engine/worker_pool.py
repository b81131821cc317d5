"""The pool of workers: start them, send commands, receive outcomes, replace and stop them."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any, Protocol

from crawler.engine.log import log_to
from crawler.engine.prefork import PreforkPool
from crawler.errors import CrawlerError
from crawler.job.spider_loader import SpiderSource
from crawler.messages import Command, Outcome, Shutdown, decode_outcomes, encode
from crawler.scope import Scope
from crawler.session.accounts import Account
from crawler.session.masking import Mask
from crawler.settings import Settings
from crawler.system_errors import out_of_handles, too_many_open_files
from crawler.tracebacks import whole_traceback_of
from crawler.worker.executor import TaskExecutor, configure_process, signals_blocked
from crawler.worker.worker import Worker

log = logging.getLogger(__name__)

NO_HANDLES = 71
"""Exit status of a worker that could not open a file that it needs; EX_OSERR of sysexits.h."""
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
MOST_EARLY_DEATHS = 3
"""Workers in a row that may die before they have done anything."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """All that a worker is made from, in any process."""

    source: SpiderSource
    arguments: dict[str, str]
    settings: Settings
    domains: tuple[str, ...] | None
    """``allowed_domains`` of the spider, or None for the netlocs."""
    netlocs: tuple[str, ...]
    threads: int
    log: str | None
    accounts: tuple[Account, ...]
    pages: Path | None
    """The folder for pages that the user should look at."""
    mask: Mask

    def worker(self) -> Worker:
        """Make a worker with a spider of its own."""
        spider = self.source.make(self.arguments)
        if self.domains is None:
            scope = Scope.of_netlocs(self.netlocs)
        else:
            scope = Scope.of_domains(self.domains)
        settled = self.domains is not None
        return Worker(
            spider,
            self.settings,
            scope,
            threads=self.threads,
            settled=settled,
            pages=self.pages,
            mask=self.mask,
            accounts=self.accounts,
        )


def _main(connection: Connection, spec: WorkerSpec, core: int | None) -> None:
    """Run a worker process, from start to end."""
    with _log_of(spec):
        worker = spec.worker()
        configure_process(core)
        worker.callbacks.watch(spec.log, may_exit=True)
        TaskExecutor(connection, worker, spec.threads).run()
    os._exit(0)  # nothing here is worth waiting for, least of all a thread within a slow fetch


@contextlib.contextmanager
def _log_of(spec: WorkerSpec) -> Iterator[None]:
    """Log what goes wrong, masked, instead of printing it."""
    logging_to = log_to(spec.log, spec.mask, must_write=False) if spec.log else nullcontext()
    with logging_to:
        try:
            yield
        except Exception as error:
            log.error("the worker ended with an error\n%s", whole_traceback_of(error, spec.mask))
            os._exit(NO_HANDLES if out_of_handles(error) else 1)


class WorkerPool(Protocol):
    """Workers, by number from 0 to ``size`` - 1."""

    size: int
    exit_codes: list[int | None]
    """The exit code of the process that each worker has replaced."""
    handled: list[int]
    """The number of tasks that each worker has answered since it was started."""

    def start(self, spec: WorkerSpec) -> None:
        """Start all workers. They are ready when they first answer."""

    def send(self, worker: int, command: Command) -> None:
        """Send a command. To a dead worker it is lost; ``receive`` reports the death."""

    def receive(
        self, timeout: float, waker: Any = None
    ) -> tuple[list[tuple[int, list[Outcome]]], list[int]]:
        """Wait at most ``timeout`` seconds; return outcomes by worker, and workers that died.

        ``waker`` is a further connection or socket that ends the waiting.
        """

    def replace(self, worker: int, *, isolated: bool) -> None:
        """Start a worker in the place of a dead one. Raises CrawlerError if they keep dying.

        ``isolated`` is True if it died with a single request. If the worker had come up before,
        that request has killed it.
        """

    def recycle(self, worker: int) -> None:
        """Start a worker in the place of one that has nothing to do."""

    def memory(self, worker: int) -> int:
        """Return the bytes of memory that a worker uses; 0 if the system has no such figure."""

    def stop(self) -> None:
        """End all workers at once; the next run repeats what they have not reported."""


class LocalWorkerPool(WorkerPool):
    """Workers on this machine: processes, or with ``processes`` 0 one in this process's threads."""

    def __init__(self, processes: int, prefork: PreforkPool | None = None) -> None:
        """Processes of ``prefork`` are taken first; further ones are spawned."""
        self.size = processes or 1
        self._in_process = processes == 0
        self._prefork = prefork
        self._context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes: list[Any] = [None] * self.size
        self._early_deaths = 0
        self._has_come_up = [False] * self.size
        self.exit_codes: list[int | None] = [None] * self.size
        self.handled = [0] * self.size

    def start(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._connections = [self._start(number) for number in range(self.size)]
        self._prefork = None  # no process may be forked once there is more than one thread

    def send(self, worker: int, command: Command) -> None:
        with contextlib.suppress(OSError):
            self._connections[worker].send_bytes(encode(command))

    def receive(
        self, timeout: float, waker: Any = None
    ) -> tuple[list[tuple[int, list[Outcome]]], list[int]]:
        received: list[tuple[int, list[Outcome]]] = []
        dead: list[int] = []
        watched = [*self._connections, waker] if waker is not None else self._connections
        for ready in wait(watched, timeout):
            if ready is waker:
                continue
            number = self._connections.index(ready)  # type: ignore[arg-type]
            try:
                outcomes = decode_outcomes(self._connections[number].recv_bytes())
            except (EOFError, OSError):  # also if the worker died in the middle of a message
                dead.append(number)
                continue
            received.append((number, outcomes))
            self._has_come_up[number] = True
            self.handled[number] += len(outcomes)
            if outcomes:
                self._early_deaths = 0
        return received, dead

    def replace(self, worker: int, *, isolated: bool) -> None:
        self._connections[worker].close()
        process = self._processes[worker]
        if process is not None:
            process.kill()
            process.join()
            self.exit_codes[worker] = process.exitcode
        if not (isolated and self._has_come_up[worker]):
            self._early_deaths += 1
        self._has_come_up[worker] = False
        if self.exit_codes[worker] == NO_HANDLES:
            raise too_many_open_files()
        if self._early_deaths > MOST_EARLY_DEATHS * self.size:
            raise CrawlerError(
                "the worker processes die before they have handled a page "
                f"(last exit code {self.exit_codes[worker]}); run.log may say why"
            )
        self._connections[worker] = self._start(worker)

    def recycle(self, worker: int) -> None:
        self.send(worker, Shutdown())
        self._connections[worker].close()
        self._end(worker)
        self._connections[worker] = self._start(worker)

    def memory(self, worker: int) -> int:
        process = self._processes[worker]
        try:
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1] if process else 0
        except (OSError, IndexError):
            return 0
        return int(pages) * _PAGE

    def stop(self) -> None:
        for number, connection in enumerate(self._connections):
            self.send(number, Shutdown())
            connection.close()
        for number in range(self.size):
            self._end(number)

    def _end(self, worker: int) -> None:
        process = self._processes[worker]
        if process is not None:
            process.join(0.5)
            process.kill()
            process.join()

    def _start(self, number: int) -> Connection:
        self.handled[number] = 0
        if self._in_process:
            return self._start_thread()
        arguments = self._spec, self._core(number)
        forked = self._prefork.take(_main, *arguments) if self._prefork else None
        spawned = forked or self._spawn(f"worker-{number + 1}", *arguments)
        ours, self._processes[number] = spawned
        return ours

    def _spawn(self, name: str, *arguments: Any) -> tuple[Connection, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_main,
            args=(theirs, *arguments),
            name=name,
            daemon=True,
        )
        with signals_blocked():
            process.start()
        theirs.close()
        return ours, process

    def _start_thread(self) -> Connection:
        ours, theirs = Pipe()
        worker = self._spec.worker()
        worker.callbacks.watch(None, may_exit=False)
        executor = TaskExecutor(theirs, worker, self._spec.threads)
        threading.Thread(
            target=_run_then_close(executor, theirs), name="worker", daemon=True
        ).start()
        return ours

    def _core(self, number: int) -> int | None:
        """Return the core for this worker; None if there are fewer cores than workers."""
        if not hasattr(os, "sched_getaffinity"):
            return None
        cores = sorted(os.sched_getaffinity(0))
        return cores[number] if self.size <= len(cores) else None


def _run_then_close(executor: TaskExecutor, connection: Connection) -> Callable[[], None]:
    def run() -> None:
        try:
            executor.run()
        finally:
            connection.close()

    return run
