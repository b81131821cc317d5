"""Read the bytes of a response: as text, as trees, as links, forms, sitemaps and robots.txt.

In go a URL, headers and a body; out come text and JSON, BeautifulSoup and parsel, links, forms and
requests. Nothing here fetches.

Start reading at ``response.Response``, which has all of them. ``encoding`` decodes the bytes;
``html_tree`` parses the lxml tree that ``links``, ``forms`` and ``fast_parsel`` share, and ``soup``
builds BeautifulSoup's. ``follow`` resolves the targets of ``response.follow``. ``robots`` and
``sitemaps`` (with ``feed_entries``) read the two files that sites write for crawlers.
"""
