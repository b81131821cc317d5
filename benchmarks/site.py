"""Serve the sites of the benchmark, which are Debian's manuals, with nginx on loopback."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.measure import Traffic

LOGIN = "/login"
"""The page with the form of a site that has members."""


class PackagesError(Exception):
    """nginx or the manuals are not installed; the message names the packages."""


@dataclass(frozen=True, slots=True)
class Source:
    """The folder of a site's pages, and the Debian package that installs it."""

    package: str
    folder: Path
    config: str = ""
    """Further lines of nginx's configuration for the site."""


SOURCES: dict[str, Source] = {
    "postgresql": Source("postgresql-doc-15", Path("/usr/share/doc/postgresql-doc-15/html")),
    "python": Source("python3.11-doc", Path("/usr/share/doc/python3.11/html")),
}


class Hit(msgspec.Struct, frozen=True):
    """One request in the server's log; ``at`` is when the last byte of the response was sent."""

    at: float
    connection: int
    status: int
    type: str
    uri: str

    @property
    def is_page(self) -> bool:
        """True for an HTML page; False for a picture, a redirect, a login or a missing file."""
        is_html = self.status == 200 and self.type.startswith("text/html")
        return is_html and self.uri != LOGIN

    @property
    def is_login(self) -> bool:
        """True for a form that has logged in."""
        return self.status == 303 and self.uri == LOGIN


@dataclass(frozen=True, slots=True)
class Site:
    """One site, while it is served."""

    name: str
    port: int
    log: Path
    server: int
    """The id of nginx's main process, the parent of the others."""

    @property
    def seeds(self) -> tuple[str, ...]:
        """The first page; all others are reachable from it."""
        return (f"http://127.0.0.1:{self.port}/index.html",)

    @property
    def delay(self) -> float:
        """No delay between two requests."""
        return 0.0

    @property
    def arguments(self) -> Mapping[str, str]:
        """No arguments of a spider."""
        return {}

    def watch(self) -> Callable[[], Traffic]:
        """Start observing; the returned function reports the traffic since."""
        since = self.log_end()
        return lambda: traffic_in(self.hits(since))

    def log_end(self) -> int:
        """Return the present length of the log, as a start for ``hits``."""
        return self.log.stat().st_size

    def hits(self, since: int = 0) -> list[Hit]:
        """Return the requests that were logged after the log's first ``since`` bytes."""
        with self.log.open("rb") as file:
            file.seek(since)
            lines = file.read().split(b"\n")
        return [msgspec.json.decode(line, type=Hit) for line in lines[:-1]]


def pages_of(hits: list[Hit]) -> set[str]:
    """Return the paths of the distinct pages."""
    return {hit.uri for hit in hits if hit.is_page}


def traffic_in(hits: list[Hit]) -> Traffic:
    """Return the figures of the requests in a log."""
    return Traffic(
        pages=len(pages_of(hits)),
        requests=len(hits),
        connections=len({hit.connection for hit in hits}),
        first=hits[0].at if hits else 0.0,
        last=hits[-1].at if hits else 0.0,
        logins=sum(hit.is_login for hit in hits),
    )


def check_packages(names: list[str]) -> None:
    """Raise PackagesError if this machine cannot serve the sites called ``names``."""
    missing = [] if _nginx() else ["nginx"]
    sources = [SOURCES[name] for name in names]
    missing += [
        source.package for source in sources if not (source.folder / "index.html").is_file()
    ]
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
            stderr=subprocess.DEVNULL,  # run by a normal user, it warns that it ignores `user`
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
    """Return a free port below those that the system assigns by itself."""
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
    values = {"@FOLDER@": str(source.folder), "@PORT@": str(port), "@CONFIG@": source.config}
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
        @CONFIG@
    }
}
"""
