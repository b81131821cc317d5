"""The results as one picture: pages per second of each crawler, a panel for each section."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from benchmarks.report import figure
from benchmarks.results import Row, Section

WIDTH = 860
_LEFT = 300
"""Left end of the bars."""
_RIGHT = 130
"""Space for the figure to the right of the longest bar."""
_MARGIN = 20
_TITLE = 44
_BAR = 18
_STEP = 26
_GAP = 10
"""Space above each of our bars; the bars of the same work follow below."""

# Ours and the others differ in brightness too, so that colour-blind readers see it, in both modes.
_STYLE = """\
.back { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e } .bar { fill: #b6bec8 }
.ours { fill: #0b57b5 } .axis { stroke: #818b98 }
text { font: 13px system-ui, "Segoe UI", Helvetica, Arial, sans-serif }
.title { font-weight: 600; font-size: 15px } .mine { font-weight: 600 }
@media (prefers-color-scheme: dark) {
  .back { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 } .bar { fill: #4b5562 }
  .ours { fill: #58a6ff } .axis { stroke: #6e7681 }
}
"""


def draw(sections: Sequence[Section]) -> str:
    """Return the text of an SVG."""
    shapes: list[str] = []
    top = _MARGIN
    for section in sections:
        rows = [row for row in section.rows if row.drawn]
        if rows:
            shapes += _panel(section.title, rows, top)
            top += _height(rows) + _MARGIN
    description = "Pages per second of each crawler, in bars; this crawler's are blue."
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" '
            f'viewBox="0 0 {WIDTH} {top}" role="img" aria-label="{description}">',
            f"<style>\n{_STYLE}</style>",
            f'<rect class="back" width="{WIDTH}" height="{top}"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _height(rows: Sequence[Row]) -> int:
    return _TITLE + _STEP * len(rows) + _GAP * sum(row.ours for row in rows[1:])


def _panel(title: str, rows: Sequence[Row], top: int) -> list[str]:
    """Return a title and a bar for each row; each panel has its own scale."""
    most = max(row.value for row in rows)
    shapes = [_text(title, _MARGIN, top + 20, "text title")]
    line = top + _TITLE
    for number, row in enumerate(rows):
        line += _GAP if number and row.ours else 0
        shapes += _bar(row, most, line)
        line += _STEP
    bottom = line - (_STEP - _BAR)
    axis = f'x1="{_LEFT}" x2="{_LEFT}" y1="{top + _TITLE - 4}" y2="{bottom + 4}"'
    return [*shapes, f'<line class="axis" {axis}/>']


def _bar(row: Row, most: float, top: int) -> list[str]:
    width = max(1.0, (WIDTH - _LEFT - _RIGHT) * row.value / most)
    kind, mine = ("ours", " mine") if row.ours else ("bar", "")
    line = top + 14
    return [
        _text(row.name.replace("`", ""), _LEFT - 10, line, f"text{mine}", "end"),
        f'<rect class="{kind}" x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" rx="2"/>',
        _text(figure(row.value, row.unit), _LEFT + width + 8, line, f"faint{mine}"),
    ]


def _text(text: str, x: float, y: float, kind: str, anchor: str = "start") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'
