"""One crawl that is killed by plan, resumed by the same command, and looked at in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.commands import Command, members_of
from tests.faults.machine import Machine
from tests.faults.plan import Kill, Run, Target
from tests.faults.site import Site
from tests.faults.toll import Toll
from tests.faults.visits import Had
from tests.faults.web import HOSTS, SEEDS, SURE, UNSURE, Line, Place, Shape, Wanted, Web
from tests.jobs import rows

SPIDERS = Path(__file__).with_name("shapes.py")
LONGEST_SILENCE = 90.0
"""Seconds without any request after which a run counts as stuck."""
FAREWELL = 30.0
"""Seconds that workers have, at most, to notice that the process they work for was killed."""
ENCRYPTED_AFTER = 100
"""Requests of a crawl with two accounts after which its sessions are encrypted in the store."""
_LOOK_EVERY = 0.002
"""Seconds between two looks at how far a run has come."""


_T = TypeVar("_T")


class _FailedError(Exception):
    """A run did not go on as it should have."""


class _Item(msgspec.Struct):
    kind: str
    place: str


class _Rejected(msgspec.Struct):
    """A line of ``rejected.jsonl``."""

    item: _Item


class Crawl:
    """One web, crawled in ``folder`` as the plan says until nothing is left to do."""

    def __init__(
        self,
        site: Site,
        web: Web,
        folder: Path,
        spiders: Path = SPIDERS,
        *,
        machine: Machine | None = None,
        output: Path | None = None,
    ) -> None:
        """With ``machine`` the folder is on its disk, and it may die."""
        self.toll = Toll(crawls=1)
        self.job = folder / "job"
        self.output = output or self.job / "items.jsonl"
        self._machine = machine
        self._chance = random.Random(web.name)
        self._options = {} if output is None else {"output": output}
        self._site = site
        self._web = web
        self._folder = folder
        self._spiders = spiders
        self.seeds: list[str] = []
        if web.shape is not Shape.SOLO:
            self.seeds = [str(folder / "seeds.txt")]
            Path(self.seeds[0]).write_text(self._seed_list())
        self._ended_commands: list[int] = []

    def suffer(self, runs: Sequence[Run]) -> Toll:
        """Crawl to the end, with as many of the planned kills as can be landed; then look."""
        try:
            is_done = False
            for number, run in enumerate(runs):
                if not is_done or run.at_the_end:
                    is_done = self._run(run, self._folder / f"token-{number}")
            self._finish()
            self._look()
        except _FailedError as error:
            self.toll.wrong.append(f"{self._web.name}: {error}")
        finally:
            self._count_left_behind()
        return self.toll

    def record(self, runs: Sequence[Run]) -> None:
        """Crawl to the end with these kills, all of it on the machine."""
        for number, run in enumerate(runs):
            assert not self._run(run, self._folder / f"token-{number}")
        with self._recorded() as tracer:
            self._finish(tracer)

    def go_on(self, orders: Iterable[str]) -> Toll:
        """Crawl to the end from what the folder has, after a loss of power; then look.

        The site had ``orders`` before that.
        """
        self.toll = Toll(crawls=1)
        self.toll.kills[Target.MACHINE, ""] = 1
        try:
            self._finish()
            self._look(orders)
        except _FailedError as error:
            self.toll.wrong.append(f"{self._web.name}: {error}")
        return self.toll

    # Runs and kills

    def _run(self, run: Run, token: Path) -> bool:
        """One run with its kills; True if it has finished the crawl."""
        named = next((kill for kill in run.children if kill.point), None)
        last = run.last
        kill = last.point and f"{last.point}:{last.arrival}{':all' * last.target.takes_all}"
        kill_child = "" if named is None else f"{named.point}:{named.arrival}:{token}"
        with self._recorded() as tracer:
            command = self._start(kill, kill_child, tracer)
            is_done = self._watch(command, run)
        if named is not None and token.exists():
            self.toll.kills[named.target, named.point] += 1
        if self._machine is not None and not is_done and last.target is Target.MACHINE:
            self._machine.lose_power(self._chance)
        return is_done

    @contextlib.contextmanager
    def _recorded(self) -> Iterator[Sequence[str]]:
        """Around a command: what a machine needs to know of it."""
        if self._machine is None:
            yield ()
        else:
            with self._machine.recording() as tracer:
                yield tracer

    def _watch(self, command: Command, run: Run) -> bool:
        """The kills of a run; True if it has finished the crawl."""
        since, last = self._site.requests(self._web), run.last
        by_hand = False
        for kill in sorted((kill for kill in run.children if not kill.point), key=_when):
            if self._comes_to(command, kill, since):
                self._kill_child(command, kill)
        if run.at_the_end:
            self._await_end(command)
        elif by_hand := self._comes_to(command, last, since):
            self._kill(command, last.target)
        return self._ended(command, last, by_hand=by_hand)

    def _ended(self, command: Command, last: Kill, *, by_hand: bool) -> bool:
        status = command.process.wait()
        self._ended_commands.append(command.pid)
        if status == -signal.SIGKILL and (by_hand or last.point):
            self.toll.kills[last.target, "" if by_hand else last.point] += 1
            return False
        if status:
            raise _FailedError(f"a run ended with status {status}:\n{_last_words(command)}")
        return True

    def _start(self, kill: str = "", kill_child: str = "", tracer: Sequence[str] = ()) -> Command:
        self.toll.resumes += self.job.exists()
        shape = self._web.shape
        return Command(
            f"{self._spiders}:{shape.title()}",
            self.job,
            *self.seeds,
            workers={Shape.SOLO: 0, Shape.GUEST: 1}.get(shape, 2),
            kill=kill,
            kill_child=kill_child,
            environment=self._secret(),
            tracer=tracer,
            **self._options,
            arguments={"name_of_web": self._web.name, "port": self._site.port},
        )

    def _secret(self) -> dict[str, str]:
        """Two accounts' sessions are encrypted, from some run on in the middle of the crawl."""
        is_due = self._site.requests(self._web) > ENCRYPTED_AFTER
        return {"CRAWL_KEY": "sesame"} if self._web.shape is Shape.PAIR and is_due else {}

    def _comes_to(self, command: Command, kill: Kill, since: int) -> bool:
        """Wait for the instant of a kill; False if the run has ended before it."""
        quiet_since, seen = time.monotonic(), 0
        while (requests := self._site.requests(self._web) - since) < kill.after:
            if command.process.poll() is not None:
                return False
            if requests != seen:
                quiet_since, seen = time.monotonic(), requests
            self._raise_if_stuck(command, quiet_since)
            time.sleep(_LOOK_EVERY)
        try:
            command.process.wait(kill.moment)
        except subprocess.TimeoutExpired:
            return True
        return False

    def _kill_child(self, command: Command, kill: Kill) -> None:
        victims = command.fetchers if kill.target is Target.FETCHER else command.workers
        if victims:
            victim = victims[int(kill.moment * 1e6) % len(victims)]
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                self.toll.kills[kill.target, ""] += 1

    def _kill(self, command: Command, target: Target) -> None:
        if target.takes_all:
            command.kill()
        else:
            command.signal(signal.SIGKILL)

    def _finish(self, tracer: Sequence[str] = ()) -> None:
        """The last run, which is not killed."""
        command = self._start(tracer=tracer)
        self._await_end(command)
        self._ended(command, Kill(Target.ALL), by_hand=False)

    def _await_end(self, command: Command) -> None:
        self._comes_to(command, Kill(Target.ALL, after=2**62), 0)

    def _raise_if_stuck(self, command: Command, quiet_since: float) -> None:
        if time.monotonic() > quiet_since + LONGEST_SILENCE:
            command.kill()
            raise _FailedError(f"a run stands still; it said:\n{_last_words(command)}")

    def _count_left_behind(self) -> None:
        """Processes end by themselves when the one that they work for was killed alone."""
        until = time.monotonic() + FAREWELL
        while (left := members_of(self._ended_commands)) and time.monotonic() < until:
            time.sleep(0.05)
        for pid in left:
            self.toll.wrong.append(f"{self._web.name}: process {pid} was left behind")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.toll.left_behind += len(left)

    def _seed_list(self) -> str:
        places = (Place(host, number) for host in range(HOSTS) for number in SEEDS)
        return "".join(self._web.spelled(p, self._site.origin(p.host), 0) + "\n" for p in places)

    # What has come of it

    def _look(self, orders_before: Iterable[str] = ()) -> None:
        """Compare the output with the web, and with the requests at the server."""
        toll, wanted, had = self.toll, self._web.wanted(), self._site.had(self._web)
        for place in orders_before:
            had.orders[place] = had.orders.get(place, 0) + 1
        lines = self._read(self.output, Line)
        rejected = self._read(self.job / "rejected.jsonl", _Rejected)
        orders = Counter(line.place for line in lines if line.kind == "order")
        others = Counter(str(line) for line in lines if line.kind != "order")
        toll.compare("item", others, map(str, wanted.lines))
        toll.compare("order", orders, wanted.orders)
        places = Counter(f"{line.item.kind} {line.item.place}" for line in rejected)
        toll.compare("rejected item", places, (f"page {place}" for place in wanted.rejected))
        unsure = {line.place for line in lines if line.text == UNSURE}
        sure = {line.place for line in lines if line.text == SURE}
        toll.compare("order at the server", Counter(had.orders), had.orders.keys() | sure)
        self._look_into_store(wanted, len(lines), len(rejected), len(unsure))
        self._look_at_logins(had)
        toll.pages += wanted.pages
        toll.requests += had.requests
        toll.again += sum(had.answers.values()) - len(had.answers)
        toll.orders += len(wanted.orders)
        toll.unsure += len(unsure)

    def _read(self, path: Path, kind: type[_T]) -> list[_T]:
        *whole, rest = path.read_bytes().split(b"\n")
        found: list[_T] = []
        torn = [rest] if rest else []
        for line in whole:
            try:
                found.append(msgspec.json.decode(line, type=kind))
            except msgspec.DecodeError:
                torn.append(line)
        self.toll.torn += len(torn)
        self.toll.wrong += [
            f"{self._web.name}: torn in {path.name}: {line[:200]!r}" for line in torn
        ]
        return found

    def _look_into_store(self, wanted: Wanted, lines: int, rejected: int, unsure: int) -> None:
        """The store has to be whole, and to agree with the output."""

        def ask(query: str) -> str:
            return str(rows(self.job, query)[0][0])

        counters = msgspec.json.decode(ask("SELECT value FROM job WHERE name = 'counters'"))
        for what, found, right in (
            ("store", ask("PRAGMA integrity_check"), "ok"),
            ("pending", ask("SELECT count(*) FROM pending"), "0"),
            ("failed", ask("SELECT count(*) FROM failed"), str(wanted.failed + unsure)),
            ("counted items", counters["items"], lines),
            ("counted rejected", counters["rejected"], rejected),
            ("counted pending", counters["pending"], 0),
            ("state", counters["reason"], "finished"),
        ):
            if found != right:
                self.toll.wrong.append(f"{self._web.name}: {what}: {found!r}, not {right!r}")

    def _look_at_logins(self, had: Had) -> None:
        """An account logs in once, after the site has ended its session, and after a kill that
        came before the login was committed."""
        accounts = {Shape.PAIR: 2}.get(self._web.shape, 1)
        kills = self.toll.kills.total()
        if had.logins > accounts * (1 + kills) + had.ended:
            self.toll.wrong.append(
                f"{self._web.name}: {had.logins} logins with {accounts} accounts, {kills} kills "
                f"and {had.ended} ended sessions"
            )
        self.toll.logins += had.logins
        self.toll.ended += had.ended


def _when(kill: Kill) -> tuple[int, float]:
    return kill.after, kill.moment


def _last_words(command: Command) -> str:
    return "\n".join(command.said.splitlines()[-30:])
