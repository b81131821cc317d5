# mypy: ignore-errors
"""Flask-AppBuilder with one model, its sessions in signed cookies that change with every page."""

import hashlib
import threading

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from flask_appbuilder import AppBuilder, Model, ModelView
from flask_appbuilder.models.sqla.base import SQLA
from flask_appbuilder.models.sqla.interface import SQLAInterface
from flask_login import user_logged_in
from serving import FOLDER, PASSWORD, USER, books, count_login, generation, serve
from sqlalchemy import Column, Integer, String


class Book(Model):
    __tablename__ = "book"

    id = Column(Integer, primary_key=True)
    title = Column(String(200), nullable=False)
    cents = Column(Integer, nullable=False)

    def __repr__(self):
        return self.title


class BookView(ModelView):
    datamodel = SQLAInterface(Book)
    list_columns = ["title", "cents"]
    show_columns = ["title", "cents"]


_request = threading.local()


class EndableSessions(SecureCookieSessionInterface):
    """Ending all sessions is changing the secret key; a request keeps the one that it came with."""

    def open_session(self, app, request):
        _request.generation = generation()
        return super().open_session(app, request)

    def get_signing_serializer(self, app):
        app.secret_key = hashlib.sha256(b"%d" % _request.generation).hexdigest()
        return super().get_signing_serializer(app)


app = Flask(__name__)
app.config.update(
    SECRET_KEY="of a test",
    SQLALCHEMY_DATABASE_URI=f"sqlite:///{FOLDER / 'app.db'}",
    FAB_UPDATE_PERMS=True,
)
app.session_interface = EndableSessions()
db = SQLA(app)

if __name__ == "__main__":
    with app.app_context():
        appbuilder = AppBuilder(app, db.session)
        appbuilder.add_view(BookView, "Books", category="Shop")
        db.create_all()
        security = appbuilder.sm
        role = security.find_role(security.auth_role_admin)
        security.add_user(USER, "A", "Reader", "reader@shop.example", role, PASSWORD)
        db.session.add_all(Book(title=title, cents=cents) for title, cents in books())
        db.session.commit()
    user_logged_in.connect(lambda *args, **kwargs: count_login(), weak=False)
    serve(app)
