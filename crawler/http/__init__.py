"""An HTTP exchange within limits: connections, cookies, redirects, deadlines, addresses.

In: a ``Request`` and the settings of a ``requests.Session``. Out: a response whose body is still to
be read, and the cookies that it has set.

Start with ``transport.Transport.fetch``. The usual request goes by ``fast_path``, any other through
requests; both use ``connections``, which ask ``address_policy`` and are cut by ``deadline``.
``set_cookie``, ``redirects`` and ``address_policy`` decide without I/O.
"""
