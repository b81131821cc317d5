"""The style sheet of the shop, which every page contains."""

from __future__ import annotations

CSS = """
:root { --ink: #2b2622; --soft: #7a6f65; --line: #e6ddd0; --paper: #fbf8f2; --accent: #9c3d2e; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 Georgia, "Iowan Old Style", "Times New Roman", serif; }
a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: .18em; }
a:hover { color: var(--accent); }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.5rem; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: .5rem 1.75rem;
  padding-block: 1.5rem 1rem; border-bottom: 1px solid var(--line); }
header .name { font-size: 1.5rem; font-weight: bold; text-decoration: none; margin-right: auto; }
header nav { display: flex; flex-wrap: wrap; align-items: baseline; gap: 1.25rem; }
header nav a { text-decoration: none; }
main { padding-block: 1.5rem 4rem; min-height: 70vh; }
footer { border-top: 1px solid var(--line); padding-block: 1.25rem 2.5rem; color: var(--soft);
  font-size: .9rem; }
h1 { font-size: 2.1rem; line-height: 1.2; margin: .75rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 1rem; }
.soft, .crumbs { color: var(--soft); }
.lead { font-size: 1.15rem; max-width: 38rem; }
.shelf { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr));
  gap: 2rem 1.5rem; }
.book h3 { margin: .75rem 0 .2rem; font-size: 1rem; line-height: 1.3; }
.book h3 a { text-decoration: none; }
.book p { margin: 0; }
p.price { color: var(--accent); font-weight: bold; }
.cover { display: flex; align-items: flex-end; aspect-ratio: 5 / 7; padding: .9rem;
  border-radius: 2px 6px 6px 2px; color: #fff; font-size: 1.05rem; line-height: 1.2;
  text-decoration: none; text-shadow: 0 1px 3px #0006; overflow-wrap: anywhere;
  box-shadow: inset 5px 0 0 #0002, 0 1px 2px #0003, 0 8px 18px -8px #0006; }
a.cover:hover { color: #fff; transform: translateY(-3px); }
.leaf { display: grid; grid-template-columns: minmax(11rem, 17rem) 1fr; gap: 2.5rem;
  margin-top: 1.25rem; align-items: start; }
.leaf .cover { font-size: 1.5rem; padding: 1.4rem; }
.leaf h1 { margin-top: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .3rem 1.5rem; margin: 1.5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; }
.button, button { display: inline-block; padding: .6rem 1.3rem; border: 0; border-radius: 4px;
  background: var(--accent); color: #fff; font: inherit; text-decoration: none; cursor: pointer; }
.button:hover, button:hover { background: #7d2f22; color: #fff; }
nav form { margin: 0; }
nav button { padding: 0; background: none; color: var(--accent); }
nav button:hover { background: none; text-decoration: underline; }
.pager { display: flex; justify-content: space-between; margin-top: 2.5rem; padding-top: 1rem;
  border-top: 1px solid var(--line); color: var(--soft); }
.tags { display: flex; flex-wrap: wrap; gap: .6rem; padding: 0; list-style: none; }
.tags a { display: block; padding: .25rem .9rem; border: 1px solid var(--line);
  border-radius: 1rem; background: #fff; text-decoration: none; }
table { width: 100%; border-collapse: collapse; margin-top: 1rem; background: #fff; }
th, td { padding: .65rem .9rem; border-bottom: 1px solid var(--line); text-align: left; }
th { color: var(--soft); font-weight: normal; }
tfoot td { font-weight: bold; border-bottom: 0; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.card { max-width: 24rem; margin: 2rem auto; padding: 1.5rem 2rem 2rem; background: #fff;
  border: 1px solid var(--line); border-radius: 8px; }
.card label { display: block; margin-bottom: 1rem; }
.card input { display: block; width: 100%; margin-top: .25rem; padding: .55rem .7rem;
  border: 1px solid #cfc4b4; border-radius: 4px; font: inherit; }
.error { padding: .6rem .9rem; border-radius: 4px; background: #f8e3df; color: #7d2f22; }
@media (max-width: 40rem) { .leaf { grid-template-columns: 1fr; } .leaf .cover { width: 11rem; } }
""".strip()


def cover(slug: str) -> str:
    """Return the colours of a book's cover, always the same for the same book."""
    hue = sum(slug.encode()) * 47 % 360
    return f"background:linear-gradient(150deg,hsl({hue} 38% 52%),hsl({(hue + 35) % 360} 45% 30%))"
