# mypy: ignore-errors
"""Serves a WSGI application on a free port of loopback, for a test that watches it.

``python SERVER.py FOLDER``: the database and the two logs are in FOLDER. ``visits`` has one
character a request that the application has answered: ``.``, or ``-`` where it was an answer to
somebody who is not logged in (a redirect, 401 or 403). ``logins`` has the time of each login, a
line each. ``LATENCY`` and ``SESSION_SECONDS`` come from the environment. The URL is printed as
soon as the port is open: ``PORT``, or one that the system gives. The process ends when its standard
input does: with whoever started it.
"""

import json
import os
import random
import sys
import threading
import time
from pathlib import Path

import waitress

FOLDER = Path(sys.argv[1])
PORT = int(os.environ.get("PORT", "0"))
LATENCY = float(os.environ.get("LATENCY", "0"))
SESSION_SECONDS = float(os.environ.get("SESSION_SECONDS", "3600"))
USER, PASSWORD = os.environ["APP_USER"], os.environ["APP_PASSWORD"]
BOOKS = 153
WORDS = ["Heron", "Saltmere", "Größe", "Teacups & Mole", "<i>Fog</i>", '"Quoted"', "Łódź", "of"]


def books():
    """Title and price of each book: text that has to be escaped, and no two alike."""
    chance = random.Random(3)
    for number in range(1, BOOKS + 1):
        yield f"{number} {' '.join(chance.choices(WORDS, k=3))}", chance.randint(100, 9999)


def content():
    """Names and texts of the pages that a site shall have, in the order of writing."""
    return json.loads((FOLDER / "content.json").read_text())


def count_login():
    """Count a login."""
    _append("logins", f"{time.time()}\n".encode())


def _append(name, line):
    file = os.open(FOLDER / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line)
    os.close(file)


def generation():
    """Return the number of times that a test has ended all sessions, by making the file longer."""
    try:
        return (FOLDER / "generation").stat().st_size
    except FileNotFoundError:
        return 0


def serve(application):
    """Serve until standard input ends."""

    def watched(environ, start_response):
        def start(status, headers, *rest):
            if environ["REQUEST_METHOD"] == "GET":
                _append("visits", b"-" if status[:3] in ("302", "401", "403") else b".")
            return start_response(status, headers, *rest)

        time.sleep(LATENCY)
        return application(environ, start)

    server = waitress.create_server(watched, host="127.0.0.1", port=PORT, threads=8)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    print(f"http://127.0.0.1:{server.effective_port}", flush=True)
    server.run()


def _end_with_parent():
    sys.stdin.read()
    os._exit(0)


DJANGO = {
    "SECRET_KEY": "of a test",
    "ALLOWED_HOSTS": ["127.0.0.1"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "app.db"}},
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"],  # a quick one
    "SESSION_COOKIE_AGE": int(SESSION_SECONDS),
    "STATIC_URL": "/static/",
    "USE_TZ": True,
}
"""The settings that both applications of Django have in common."""
