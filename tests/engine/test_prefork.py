"""PreforkPool: forked early, taken or dismissed, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.commands import wait_until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks its workers")


def script(code: str) -> subprocess.Popen[str]:
    """A young process of its own: the one of the tests has too many threads to be forked."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def said(code: str) -> list[str]:
    process = script(code)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return output.split()


def test_a_spare_process_becomes_the_one_that_is_needed() -> None:
    numbers = said(
        """
        import os
        from crawler.engine.prefork import PreforkPool

        def answer(channel, number):
            channel.send(b"%d %d" % (os.getpid(), number * 2))

        with PreforkPool(2) as spares:
            for number in (20, 21):
                channel, process = spares.take(answer, number)
                pid, doubled = channel.receive().split()
                print(int(doubled), int(pid) == process.pid, process.name)
                process.join()
            print(spares.take(answer, 1))
        """
    )
    assert numbers == ["40", "True", "fetcher", "42", "True", "fetcher", "None"]


def test_unused_spare_processes_end_with_the_block() -> None:
    assert said(
        """
        import multiprocessing
        from crawler.engine.prefork import PreforkPool

        with PreforkPool(3):
            print(len(multiprocessing.active_children()))
        print(len(multiprocessing.active_children()))
        """
    ) == ["3", "0"]


def test_a_process_with_threads_is_not_forked() -> None:
    assert said(
        """
        import threading
        from crawler.engine.prefork import PreforkPool

        ended = threading.Event()
        threading.Thread(target=ended.wait).start()
        with PreforkPool(2) as spares:
            print(spares.take(print))
        ended.set()
        """
    ) == ["None"]


def test_spares_end_with_the_process_that_they_wait_for() -> None:
    process = script(
        """
        import multiprocessing, time
        from crawler.engine.prefork import PreforkPool

        with PreforkPool(3):
            print(*[child.pid for child in multiprocessing.active_children()], flush=True)
            time.sleep(60)
        """
    )
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert len(pids) == 3
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until_gone(pids)


def test_a_spare_that_was_killed_is_passed_over() -> None:
    assert said(
        """
        import multiprocessing
        from crawler.engine.prefork import PreforkPool

        def answer(channel, name):
            channel.send(name)

        with PreforkPool(2) as spares:
            first, second = sorted(multiprocessing.active_children(), key=lambda each: each.pid)
            first.kill()
            first.join()
            channel, process = spares.take(answer, b"taken")
            print(channel.receive().decode(), process is second)
            process.join()
            print(spares.take(answer, b"again"))
        """
    ) == ["taken", "True", "None"]
