"""The links that a job that logs in does not follow, as a GET of them may act.

A URL goes in, with the page that has it; out comes the reason not to follow it. Start reading at
``links``, the filter; ``pages`` tells by the page what a link may do. What the URL itself tells is
in ``url_words``.
"""
