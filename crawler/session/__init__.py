"""Sessions that stay logged in: accounts, secrets, logins, and the detection of a session's end.

In go a spider's ``login`` and ``is_logged_out``, and its accounts. Out comes a ``Session``, a
``requests.Session`` whose cookies and login state can be stored as data.

Start reading at ``login_turn.LoginTurn``: it fetches a request while logged in, and judges the
response. ``evidence`` says what a response means, ``prober`` looks at the page that decides, and
``login_progress`` has the table of a login's states. ``concurrency`` orders the fetches of a
session. ``accounts`` reads accounts, ``credentials`` looks up their secrets, and ``masking`` hides
these in logs. ``cookie_files`` reads and writes a browser's cookies; the jar itself is
``crawler.http.cookie_jar``.
"""
