"""Read the bytes of a response: as text, as trees, as links, forms, sitemaps and robots.txt.

In: a URL, headers and a body. Out: what a spider asks for, by ``response.Response``: text and JSON,
BeautifulSoup and parsel, links, forms and the requests to follow. ``robots`` and ``sitemaps`` read
the two files that crawlers know. Nothing here fetches. Start at ``response``; ``encoding`` decides
how bytes become text, ``html_tree`` makes the lxml tree that most of it shares, and ``soup`` the
BeautifulSoup tree.
"""
