# mypy: ignore-errors
"""Roundup with issues; its sessions are in a database of their own."""

import configparser
import shutil
import sys
from pathlib import Path

from roundup import instance, password
from roundup.cgi.actions import LoginAction
from roundup.cgi.wsgi_handler import RequestDispatcher
from serving import FOLDER, PASSWORD, PORT, USER, content, count_login, serve

HOME = FOLDER / "tracker"
TEMPLATE = Path(sys.prefix) / "share" / "roundup" / "templates" / "classic"


def configure(**settings):
    """Change the settings of the tracker; each is SECTION_NAME."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(HOME / "config.ini")
    for name, value in settings.items():
        section, _, option = name.partition("_")
        config.set(section, option, value)
    with (HOME / "config.ini").open("w") as file:
        config.write(file)


def lay():
    shutil.copytree(TEMPLATE, HOME)
    from roundup.configuration import CoreConfig

    config = CoreConfig()
    config.DATABASE = "db"
    config["RDBMS_BACKEND"] = "sqlite"
    config["TRACKER_WEB"] = "http://127.0.0.1/"
    config["MAIL_DOMAIN"] = "tracker.example"
    config["MAIL_HOST"] = "localhost"
    config.save(str(HOME / "config.ini"))
    schema = (HOME / "schema.py").read_text()
    # strangers see nothing, and keywords are closed to users
    head, mark, tail = schema.partition("# ANONYMOUS USER PERMISSIONS")
    tail = "\ndb.security.addPermissionToRole('Anonymous', 'Web Access')\n"
    head = head.replace("'issue', 'file', 'msg', 'keyword'", "'issue', 'file', 'msg'")
    (HOME / "schema.py").write_text(head + mark + tail)
    tracker = instance.open(str(HOME))
    tracker.init(password.Password("of the admin", config=config))
    db = tracker.open("admin")
    db.user.create(
        username=USER,
        password=password.Password(PASSWORD, config=config),
        address="member@tracker.example",
        roles="User",
    )
    for number in range(6):
        db.keyword.create(name=f"closed {number}")
    issues = {}
    for name, text in content():
        message = db.msg.create(content=text, author="1", summary=name)
        if name in issues:
            messages = db.issue.get(issues[name], "messages")
            db.issue.set(issues[name], messages=[*messages, message])
        else:
            issues[name] = db.issue.create(title=name, messages=[message], status="1")
    db.commit()
    db.close()


def counted(method):
    def login(self, *args, **kwargs):
        method(self, *args, **kwargs)
        count_login()

    return login


if __name__ == "__main__":
    if sys.argv[2:] == ["lay"]:
        lay()
    else:
        configure(tracker_web=f"http://127.0.0.1:{PORT}/")
        LoginAction.verifyLogin = counted(LoginAction.verifyLogin)
        serve(RequestDispatcher(str(HOME)))
