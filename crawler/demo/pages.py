"""The pages of the shop in HTML. Pure functions from content to text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from html import escape

from crawler.demo.content import Book, Line, Order, money, slug
from crawler.demo.shop import Page, Shop
from crawler.demo.style import CSS, cover

ICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect x='3' y='2' width='10' height='12' rx='1' fill='%239c3d2e'/%3E%3C/svg%3E"
)


def document(title: str, body: str, user: str | None) -> str:
    """Return a whole page around ``body``, as ``user`` sees it; ``None`` is a visitor."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} &ndash; The Paper Lantern</title>
<link rel="icon" href="{ICON}">
<style>
{CSS}
</style>
</head>
<body>
<header>
<a class="name" href="/">The Paper Lantern</a>
<nav>
<a href="/books/">Books</a>
<a href="/orders">Orders</a>
<a href="/cart/">Cart</a>
{_who(user)}
</nav>
</header>
<main>
{body}
</main>
<footer>A shop that does not exist, with books that nobody wrote. It is here to be crawled.</footer>
</body>
</html>
"""


def home(shop: Shop) -> str:
    """Return the front page: a welcome, the categories and the newest books."""
    shelf = "\n".join(_card(book) for book in shop.books[-10:])
    return f"""<h1>Books for patient readers</h1>
<p class="lead">{len(shop.books)} titles, all in print, none of them real.
Come in; the kettle is on.</p>
{_tags(shop.categories)}
<h2>New on the shelves</h2>
<div class="shelf">
{shelf}
</div>"""


def books(page: Page[Book], path: str, heading: str) -> str:
    """Return a page of books; ``path`` is that of the list."""
    shelf = "\n".join(_card(book) for book in page.entries)
    return f"""<h1>{escape(heading)}</h1>
<h2 class="soft">Page {page.number} of {page.last}, {page.total} books</h2>
<div class="shelf">
{shelf}
</div>
{_pager(page, path)}"""


def book(book: Book) -> str:
    """Return the page of a book."""
    category = f'<a href="/categories/{slug(book.category)}">{escape(book.category)}</a>'
    stock = f"{book.stock} in stock" if book.stock else "sold out, more on the way"
    return f"""<p class="crumbs"><a href="/books/">Books</a> &rsaquo; {category}</p>
<article class="leaf">
<div class="cover" style="{cover(book.slug)}">{escape(book.title)}</div>
<div>
<h1 class="title">{escape(book.title)}</h1>
<p class="price">{money(book.price)}</p>
<p class="description">{escape(book.description)}</p>
<dl>
<dt>Category</dt><dd class="category">{category}</dd>
<dt>Availability</dt><dd class="stock" data-stock="{book.stock}">{stock}</dd>
<dt>Length</dt><dd class="length">{book.pages} pages</dd>
</dl>
<p><a class="button" href="/cart/add/{book.slug}" rel="nofollow">Put in the cart</a></p>
</div>
</article>"""


def login(csrf: str, following: str, error: str | None = None) -> str:
    """Return the login form; ``following`` is the path that follows the login."""
    message = f'<p class="error" role="alert">{escape(error)}</p>\n' if error else ""
    return f"""<div class="card">
<h1>Log in</h1>
{message}<form id="login" action="/login" method="post">
<input type="hidden" name="csrf" value="{escape(csrf)}">
<input type="hidden" name="next" value="{escape(following)}">
<label>User <input name="user" autocomplete="username" required></label>
<label>Password
<input name="password" type="password" autocomplete="current-password" required></label>
<button type="submit">Log in</button>
</form>
</div>"""


def orders(page: Page[Order]) -> str:
    """Return a page of the account's orders."""
    rows = "\n".join(_order_row(order) for order in page.entries)
    return f"""<h1>Your orders</h1>
<p class="soft">Page {page.number} of {page.last}, {page.total} orders</p>
<table>
<thead><tr><th>Order</th><th>Day</th><th>State</th><th class="number">Total</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
{_pager(page, "/orders")}"""


def order(order: Order) -> str:
    """Return the page of an order with all its rows."""
    rows = "\n".join(_line_row(line) for line in order.lines)
    return f"""<p class="crumbs"><a href="/orders">Orders</a></p>
<article class="order" data-id="{order.number}">
<h1>Order {order.number}</h1>
<p>{_time(order.day)}, {order.state}</p>
<table>
<thead><tr><th>Book</th><th class="number">Price</th><th class="number">Copies</th>
<th class="number">Sum</th></tr></thead>
<tbody>
{rows}
</tbody>
<tfoot><tr><td colspan="3">Total</td><td class="number total">{money(order.total)}</td></tr></tfoot>
</table>
</article>"""


def message(heading: str, text: str) -> str:
    """Return a page with a single message."""
    return f"<h1>{escape(heading)}</h1>\n<p>{escape(text)}</p>"


def _who(user: str | None) -> str:
    if user is None:
        return '<a href="/login">Log in</a>'
    # A button, not a link: a crawler that follows every link must not log itself out.
    return f"""<span class="soft user">{escape(user)}</span>
<form action="/logout" method="post"><button type="submit">Log out</button></form>"""


def _tags(categories: Mapping[str, str]) -> str:
    tags = "\n".join(
        f'<li><a href="/categories/{slug}">{escape(name)}</a></li>'
        for slug, name in categories.items()
    )
    return f'<ul class="tags">\n{tags}\n</ul>'


def _card(book: Book) -> str:
    path, title, style = f"/books/{book.slug}", escape(book.title), cover(book.slug)
    return f"""<article class="book">
<a class="cover" href="{path}" style="{style}" aria-hidden="true" tabindex="-1">{title}</a>
<h3><a href="{path}" title="{title}">{title}</a></h3>
<p class="price">{money(book.price)}</p>
</article>"""


def _time(day: date) -> str:
    return f'<time datetime="{day}">{day.day} {day:%B %Y}</time>'


def _order_row(order: Order) -> str:
    return (
        f'<tr class="order" data-id="{order.number}">'
        f'<td><a href="/orders/{order.number}">{order.number}</a></td>'
        f"<td>{_time(order.day)}</td>"
        f'<td>{order.state}</td><td class="number total">{money(order.total)}</td></tr>'
    )


def _line_row(line: Line) -> str:
    book = line.book
    return (
        f'<tr class="line"><td class="title"><a href="/books/{book.slug}">{escape(book.title)}</a>'
        f'</td><td class="number price">{money(book.price)}</td>'
        f'<td class="number quantity">{line.quantity}</td>'
        f'<td class="number">{money(line.total)}</td></tr>'
    )


def _pager(page: Page[Book] | Page[Order], path: str) -> str:
    """Return links to the previous and next page; the first page has the path of the list."""
    before = after = "<span></span>"
    if page.number > 1:
        href = path if page.number == 2 else f"{path}?page={page.number - 1}"
        before = f'<a class="previous" rel="prev" href="{href}">&lsaquo; Previous</a>'
    if page.number < page.last:
        after = f'<a class="next" rel="next" href="{path}?page={page.number + 1}">Next &rsaquo;</a>'
    return f'<nav class="pager" aria-label="Pages">\n{before}\n{after}\n</nav>'
