"""The sites that are crawled: Debian's documentation, served by nginx on loopback."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.measure import Seen


class PackagesError(Exception):
    """The machine has no nginx or no documentation; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a site's pages come from."""

    package: str
    folder: Path
    also: str = ""
    """What else nginx is told of the site."""


SOURCES: dict[str, Source] = {
    "postgresql": Source("postgresql-doc-15", Path("/usr/share/doc/postgresql-doc-15/html")),
    "python": Source("python3.11-doc", Path("/usr/share/doc/python3.11/html")),
}


class Hit(msgspec.Struct, frozen=True):
    """One request as the server's log tells it; ``at`` is when its last byte was sent."""

    at: float
    connection: int
    status: int
    type: str
    uri: str

    @property
    def is_page(self) -> bool:
        """True for a page that was found, not a picture, a redirect or a missing file."""
        return self.status == 200 and self.type.startswith("text/html")


@dataclass(frozen=True, slots=True)
class Site:
    """One site while it is being served."""

    name: str
    port: int
    log: Path
    server: int
    """The process of nginx that has the others for children."""

    @property
    def seeds(self) -> tuple[str, ...]:
        """Every page of the site can be reached from here."""
        return (f"http://127.0.0.1:{self.port}/index.html",)

    @property
    def delay(self) -> float:
        """Nobody need wait between two requests."""
        return 0.0

    def watch(self) -> Callable[[], Seen]:
        """Begin to look; the function that this returns tells what was seen."""
        since = self.log_end()
        return lambda: seen_in(self.hits(since))

    def log_end(self) -> int:
        """Where the log ends now, to read from there later."""
        return self.log.stat().st_size

    def hits(self, since: int = 0) -> list[Hit]:
        """What was requested after the log had ended at ``since``."""
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().split(b"\n")
        return [msgspec.json.decode(line, type=Hit) for line in lines[:-1]]


def pages_of(hits: list[Hit]) -> set[str]:
    """The paths of the pages that were found, each once."""
    return {hit.uri for hit in hits if hit.is_page}


def seen_in(hits: list[Hit]) -> Seen:
    """What a log comes down to."""
    return Seen(
        pages=len(pages_of(hits)),
        requests=len(hits),
        connections=len({hit.connection for hit in hits}),
        first=hits[0].at if hits else 0.0,
        last=hits[-1].at if hits else 0.0,
    )


def check_packages(names: list[str]) -> None:
    """Raise PackagesError if this machine cannot serve the sites called ``names``."""
    missing = [] if _nginx() else ["nginx"]
    sources = [SOURCES[name] for name in names]
    missing += [one.package for one in sources if not (one.folder / "index.html").is_file()]
    if missing:
        raise PackagesError(
            f"The benchmark needs Debian packages that are not installed here; "
            f"run: apt-get install {' '.join(missing)}"
        )


@contextmanager
def serve(name: str) -> Iterator[Site]:
    """Serve one of ``SOURCES`` on a free port of the loopback until the block ends."""
    check_packages([name])
    with serve_source(name, SOURCES[name]) as site:
        yield site


@contextmanager
def serve_source(name: str, source: Source) -> Iterator[Site]:
    """Serve a folder as a site called ``name`` until the block ends."""
    with TemporaryDirectory(prefix="benchmark-nginx-") as prefix:
        port = _free_port()
        Path(prefix, "nginx.conf").write_text(_config(source, port))
        server = subprocess.Popen(
            [str(_nginx()), "-p", prefix, "-c", "nginx.conf", "-e", "error.log"],
            stderr=subprocess.DEVNULL,  # as a normal user it warns that `user` means nothing
        )
        try:
            _wait_until_up(server, port, Path(prefix, "error.log"))
            yield Site(name, port, Path(prefix, "access.log"), server.pid)
        finally:
            server.terminate()
            server.wait()


def _nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _free_port() -> int:
    """Return a free port of those that the system gives to nothing by itself."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _wait_until_up(server: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    for _ in range(500):
        if server.poll() is not None:
            raise RuntimeError(f"nginx did not start: {errors.read_text().strip()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise RuntimeError(f"nginx does not answer on port {port}")


def _config(source: Source, port: int) -> str:
    values = {"@FOLDER@": str(source.folder), "@PORT@": str(port), "@ALSO@": source.also}
    config = _CONFIG
    for name, value in values.items():
        config = config.replace(name, value)
    return config


# Every path is inside the temporary prefix, so that no nginx of the machine is touched.
_CONFIG = """\
daemon off;
worker_processes 1;
pid nginx.pid;
error_log error.log crit;
events { worker_connections 1024; }
http {
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    types {
        text/html html;
        text/css css;
        text/plain txt py;
        text/javascript js;
        image/png png;
        image/svg+xml svg;
    }
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    log_format hits escape=json '{"at":$msec,"connection":$connection,"status":$status,'
                                '"type":"$sent_http_content_type","uri":"$request_uri"}';
    access_log access.log hits;
    server {
        listen 127.0.0.1:@PORT@;
        root "@FOLDER@";
        @ALSO@
    }
}
"""
