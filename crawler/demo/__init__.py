"""A small bookshop with a login, served on loopback, for the quick start and for tests.

In goes a number that the books are invented from; out come pages over HTTP, and the items that a
crawl of them must find. Start reading at ``site``, which answers each request. Below it are
``shop`` (the whole catalogue, and the right result), ``content`` and ``words`` (books and orders),
``pages`` and ``style`` (HTML) and ``sessions`` (visitors that are logged in); above it ``server``
and ``wire`` (HTTP), and ``__main__``, the guided tour.
"""
