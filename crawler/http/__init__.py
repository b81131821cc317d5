"""Exchange a request for a response over HTTP: connections, cookies, redirects, time limits.

In go a ``Request`` and the settings of a ``requests.Session``. Out come a response whose body is
still to be read, and the cookies that it has set.

Start reading at ``transport.Transport.fetch``. The usual request goes by ``PlainGet`` there, any
other through requests and ``adapter``; both hand a transfer to ``curl``, which asks
``address_policy`` where a socket is opened. ``adapter`` reads bodies with ``decoding``, and
``deadline`` limits the whole. ``cookie_jar`` holds the cookies of a session, which the store keeps
between runs. ``environment`` reads proxies and ``netrc``. ``set_cookie``, ``redirects`` and
``address_policy`` decide without I/O.
"""
