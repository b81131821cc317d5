"""One worker: a task comes in, an outcome goes out.

In go tasks, with the hosts, cookies and rules that they need (``crawler.messages``), over a pipe
from the engine. Out go outcomes: items, new requests, failures, changed cookies.

Start reading at ``Worker.handle``, the way of one page: a ``fetcher`` fetches it through a session
of the ``session_pool``, the spider's callback runs under the ``callback_lock``, and the
``collector`` encodes its items and passes its requests through the ``request_filter``, which
applies ``crawl_limits`` and ``unsafe``. ``failures`` describes errors, ``hosts`` applies
robots.txt. ``executor`` is around all this: the process, its threads and the pipe.
"""
