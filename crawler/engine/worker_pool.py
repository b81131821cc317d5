"""The worker processes: started, fed, heard, replaced and stopped."""

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
from typing import Any

from crawler.engine.log import log_to
from crawler.engine.prefork import PreforkPool
from crawler.errors import CrawlerError
from crawler.job.spider_loader import SpiderSource
from crawler.messages import Command, Outcome, ReturnTasks, Shutdown, decode_outcomes, encode
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
    """What a worker is made of, in whichever process."""

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
    """Where pages that somebody should look at are kept."""
    mask: Mask

    def worker(self) -> Worker:
        """A worker with a spider of its own."""
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


def _main(connection: Connection, assembly: WorkerSpec, core: int | None) -> None:
    """A worker process, from start to end."""
    with _log_of(assembly):
        worker = assembly.worker()
        configure_process(core)
        worker.callbacks.watch(assembly.log, may_exit=True)
        TaskExecutor(connection, worker, assembly.threads).run()
    os._exit(0)  # nothing here is worth waiting for, least of all a thread within a slow fetch


@contextlib.contextmanager
def _log_of(assembly: WorkerSpec) -> Iterator[None]:
    """What goes wrong is told to the log, masked, and not to whoever looks at standard error."""
    kept = log_to(assembly.log, assembly.mask, must_write=False) if assembly.log else nullcontext()
    with kept:
        try:
            yield
        except Exception as error:
            log.error(
                "the worker ended with an error\n%s", whole_traceback_of(error, assembly.mask)
            )
            os._exit(NO_HANDLES if out_of_handles(error) else 1)


class WorkerPool:
    """Workers by number. With ``processes`` 0 there is one, in threads of this process."""

    def __init__(
        self, assembly: WorkerSpec, processes: int, spares: PreforkPool | None = None
    ) -> None:
        """``spares`` are taken first; what they do not suffice for is spawned."""
        self.size = processes or 1
        self._assembly = assembly
        self._in_process = processes == 0
        self._spares = spares
        self._context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes: list[Any] = [None] * self.size
        self._early_deaths = 0
        self._has_come_up = [False] * self.size
        self.exit_codes: list[int | None] = [None] * self.size
        self.handled = [0] * self.size
        """Requests that each worker has answered since it was started."""

    def start(self) -> None:
        """Start all workers; they are ready when they first answer."""
        self._connections = [self._start(number) for number in range(self.size)]
        self._spares = None  # they are of no use once there is more than one thread

    def send(self, worker: int, order: Command) -> None:
        """Give an order. To a dead worker it is lost; ``receive`` tells of the death."""
        with contextlib.suppress(OSError):
            self._connections[worker].send_bytes(encode(order))

    def receive(
        self, timeout: float, also: Any = None
    ) -> tuple[list[tuple[int, list[Outcome]]], list[int]]:
        """What has come within ``timeout`` seconds: outcomes by worker, and workers that died.

        ``also`` is a further connection or socket that ends the waiting.
        """
        heard: list[tuple[int, list[Outcome]]] = []
        died: list[int] = []
        watched = [*self._connections, also] if also is not None else self._connections
        for ready in wait(watched, timeout):
            if ready is also:
                continue
            number = self._connections.index(ready)  # type: ignore[arg-type]
            try:
                outcomes = decode_outcomes(self._connections[number].recv_bytes())
                heard.append((number, outcomes))
                self._has_come_up[number] = True
                self.handled[number] += len(outcomes)
                if outcomes:
                    self._early_deaths = 0
            except (EOFError, OSError):  # also when the sender died in the middle of a message
                died.append(number)
        return heard, died

    def replace(self, worker: int, *, alone: bool) -> None:
        """Put a new worker in the place of a dead one. Raises CrawlerError if they keep dying.

        ``alone`` says that it died with one request only, which then is to blame for it, if the
        worker had come up before.
        """
        self._connections[worker].close()
        process = self._processes[worker]
        if process is not None:
            process.kill()
            process.join()
            self.exit_codes[worker] = process.exitcode
        if not (alone and self._has_come_up[worker]):
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
        """Put a new worker in the place of one that has nothing to do."""
        self.send(worker, Shutdown())
        self._connections[worker].close()
        self._end(worker)
        self._connections[worker] = self._start(worker)

    def memory(self, worker: int) -> int:
        """Bytes of memory that a worker process holds; 0 where the system does not tell (Linux)."""
        process = self._processes[worker]
        try:
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1] if process else 0
        except (OSError, IndexError):
            return 0
        return int(pages) * _PAGE

    def stop(self) -> None:
        """End all workers at once: what they have not reported is done again by the next run."""
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

    def recall(
        self, host: int | None, *, without: int | None = None, only: int | None = None
    ) -> None:
        """Ask for what has not been started, of one host or of all, all workers or one."""
        for number in range(self.size):
            if number != without and only in (None, number):
                self.send(number, ReturnTasks(host))

    def _start(self, number: int) -> Connection:
        self.handled[number] = 0
        if self._in_process:
            return self._start_thread()
        what = self._assembly, self._core(number)
        taken = self._spares.take(_main, *what) if self._spares else None
        ours, self._processes[number] = taken or self._spawn(f"worker-{number + 1}", *what)
        return ours

    def _spawn(self, name: str, *what: Any) -> tuple[Connection, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_main,
            args=(theirs, *what),
            name=name,
            daemon=True,
        )
        with signals_blocked():
            process.start()
        theirs.close()
        return ours, process

    def _start_thread(self) -> Connection:
        ours, theirs = Pipe()
        worker = self._assembly.worker()
        worker.callbacks.watch(None, may_exit=False)
        workshop = TaskExecutor(theirs, worker, self._assembly.threads)
        threading.Thread(
            target=_run_then_close(workshop, theirs), name="worker", daemon=True
        ).start()
        return ours

    def _core(self, number: int) -> int | None:
        """The core for this worker; none when there are fewer cores than workers."""
        if not hasattr(os, "sched_getaffinity"):
            return None
        cores = sorted(os.sched_getaffinity(0))
        return cores[number] if self.size <= len(cores) else None


def _run_then_close(workshop: TaskExecutor, connection: Connection) -> Callable[[], None]:
    def run() -> None:
        try:
            workshop.run()
        finally:
            connection.close()

    return run
