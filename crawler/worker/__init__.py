"""One worker: a page comes in, a result goes out.

In go pages over a channel from the fetching process: responses as they came, or the errors in their
place. Out go results: items, new requests, failures.

Start reading at ``Worker.handle``: it decodes and parses a page, the spider's callback runs under
the ``callback_timer``, and the ``collector`` encodes its items and passes its requests through the
``request_filter``, which applies ``crawl_limits`` and ``unsafe``. ``failures`` describes errors.
``remote_session`` is ``response.session``, whose calls the fetching process makes. ``process`` is
around all this: the loop of the process, and the ``channel``.
"""
