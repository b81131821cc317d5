# mypy: ignore-errors
"""A JSON API behind bearer tokens that expire, by Flask-JWT-Extended."""

import sqlite3
from contextlib import closing
from datetime import timedelta

from flask import Flask, abort, request
from flask_jwt_extended import JWTManager, create_access_token, jwt_required
from serving import (
    FOLDER,
    PASSWORD,
    SESSION_SECONDS,
    USER,
    books,
    count_login,
    generation,
    serve,
)

PAGE = 20

app = Flask(__name__)
app.config["JWT_SECRET_KEY"] = "the secret of a test, which is long enough"
jwt = JWTManager(app)


@jwt.token_in_blocklist_loader
def is_revoked(header, payload):
    return payload["generation"] != generation()


def ask(query, *values):
    with closing(sqlite3.connect(FOLDER / "app.db")) as db:
        return db.execute(query, values).fetchall()


@app.post("/token")
def token():
    sent = request.get_json()
    if (sent.get("user"), sent.get("password")) != (USER, PASSWORD):
        return {"msg": "wrong user or password"}, 403
    claims = {"generation": generation()}
    count_login()
    life = timedelta(seconds=SESSION_SECONDS)
    return {"access_token": create_access_token(USER, expires_delta=life, additional_claims=claims)}


@app.get("/books")
@jwt_required()
def shelf():
    page = request.args.get("page", 1, int)
    ids = ask("SELECT id FROM book ORDER BY id LIMIT ? OFFSET ?", PAGE + 1, (page - 1) * PAGE)
    following = f"/books?page={page + 1}" if len(ids) > PAGE else None
    return {"page": page, "books": [f"/books/{id}" for (id,) in ids[:PAGE]], "next": following}


@app.get("/books/<int:id>")
@jwt_required()
def book(id):
    for title, cents in ask("SELECT title, cents FROM book WHERE id = ?", id):
        return {"title": title, "cents": cents}
    return abort(404)


if __name__ == "__main__":
    with closing(sqlite3.connect(FOLDER / "app.db")) as db, db:
        db.execute("CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, cents INTEGER)")
        db.executemany("INSERT INTO book (title, cents) VALUES (?, ?)", books())
    serve(app)
