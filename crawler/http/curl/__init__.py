"""Transfers by libcurl: many at once, in a thread of their own.

In: a ``Transfer``, which is a request, the way to its server, and its time limits. Out: the same,
with the head of the response and the bytes of its body, or with the error that ended it.

Start with ``pool.CurlPool.submit``, then ``loop.Loop``. ``handle`` sets libcurl's options and takes
its calls, ``resolver`` finds addresses, ``servers`` has what is known of each server, ``mender``
mends heads that libcurl does not read, and ``failures`` names what went wrong. Nothing here knows
requests.
"""
