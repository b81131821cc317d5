"""The results as one Markdown table, readable on a terminal too."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.results import Goal, Row, Section

HOW_TO_READ = """\
Every crawler starts at a site's first page, follows every link on the host, and writes one line
of JSON for each page: URL, title, all `h1` and `h2`, and the number of links. Before any figures
are compared, these lines are: all crawlers have found the same pages and written the same items.

- **result**: the median of the runs, and in brackets the lowest and the highest. Runs of the
  crawlers alternate. Compare only within a section: each section is measured separately, on the
  day beside its title, and the machine is not equally fast on all days.
- **pages/s**: pages divided by the time between the first and the last request in the server's
  own log. Start and end of the process do not count; starting has its own rows.
- **… against**: our median divided by the other's, of the same runs.
- **must**, **aim**: the least (≥) or greatest (≤) value that is required or desired, and whether
  the result reaches it: ✓ or ✗.
- **CPU/page**: milliseconds of CPU time per page, of all processes, over the whole run. It varies
  less than the rate when the machine has other load.
- **memory**: the peak of the proportional set size (PSS) of all processes together, sampled ten
  times a second.
- **conn.**: connections at the server; **at a time**: the limit of concurrent requests.
- **whole run**: seconds from the start of the command to its end.

Two Scrapy spiders use Scrapy's own selectors. *As documented* follows the links that
`LinkExtractor` finds, the faster of the ways in its documentation. *Tuned by hand* removes
duplicate hrefs as text before it creates requests, which helps most if pages have many links. The
goal applies to both. Scrapy runs with 8 and with 16 concurrent requests, and after the first turn
only with the better of them; the others run with 8, `requests` with 1.

In the broad crawl every page takes 50 ms, and each host gets one request at a time, with 0.25 s
between two; the server checks this. A request counts as early only if the one before it cannot
have arrived long enough before it, so that a busy server that notices that one late blames no
crawler. The pages have 12 KB, and links to other pages of their host. Scrapy has the settings that
its documentation recommends for such crawls.

The slow hosts take a second for every page of 12 KB; a crawler may ask each of them once a second.
Our `concurrency` is the default, Scrapy may have 3,000 requests at the same time. Scrapy crawls a
few pages of each host only, since it needs so long. Over HTTPS, a private authority has signed the
certificates. The site with a login redirects to a form unless the session's cookie is sent.
*The last tenth against the second* compares the rates of requests at the server, so that a crawler
that slows down as a job grows shows it.

The Go crawler is not a framework: a hundred lines around `net/http` and goquery, on which Colly is
built too. It does less for each link than Colly, which Debian does not package. It runs if
Debian's packages for it are installed.

This crawler has every page durably on disk (synced) before the page counts as done, and could be
killed and resumed at any time, with the same settings as in the kill tests; the others run without
anything to resume from.
"""

_HEADS = ("", "result", "must", "aim", "CPU/page", "memory", "conn.", "at a time", "whole run")
_MB = 1024**2


def document(sections: Sequence[Section], chart: str, origin: str) -> str:
    """Return the text of RESULTS.md; ``chart`` is the name of the picture beside it."""
    return "\n".join(
        [
            "# Side by side\n",
            f"{origin}\n",
            HOW_TO_READ,
            "## The machine\n",
            *_machine(sections),
            "",
            *_noise(sections),
            "",
            "## Results\n",
            f"![Pages per second of each crawler]({chart})\n",
            table(sections),
            "",
            *_notes(sections),
        ]
    )


def _machine(sections: Sequence[Section]) -> list[str]:
    """Return the days of the measurements, and each line about the machines once."""
    days = sorted({section.day for section in sections})
    lines = dict.fromkeys(line for section in sections for line in section.machine)
    return [f"Measured on {' and '.join(days)}:\n", *(f"- {line}" for line in lines)]


def _noise(sections: Sequence[Section]) -> list[str]:
    """Return a sentence about the load of other programs on the machine."""
    runs = sorted(others for section in sections for others in section.others)
    if not runs:
        return []
    note = (
        f"Other programs on the machine used {runs[len(runs) // 2]:.2f} cores (median of "
        f"{len(runs)} runs), {runs[-1]:.2f} at most."
    )
    if all(section.took for section in sections):
        note += (
            f" All runs together took {sum(section.took for section in sections) / 60:.0f} minutes."
        )
    return [note]


def _notes(sections: Sequence[Section]) -> list[str]:
    return [f"- {note}" for section in sections for note in section.notes]


def table(sections: Sequence[Section]) -> str:
    """Return a Markdown table with aligned columns."""
    lines: list[tuple[str, ...]] = [_HEADS]
    for section in sections:
        lines.append((f"**{section.title}**", _times(section)))
        lines += map(_cells, section.rows)
    # Titles may be longer than their column; it would become too wide for a terminal otherwise.
    full = [line for line in lines if len(line) == len(_HEADS)]
    widths = [max(len(line[column]) for line in full) for column in range(len(_HEADS))]
    rule = ("-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:]))
    return "\n".join(_line(line, widths) for line in (lines[0], rule, *lines[1:]))


def _times(section: Section) -> str:
    times = "" if section.runs == 0 else "once" if section.runs == 1 else f"{section.runs} times"
    return ", ".join(filter(None, (times, section.day)))


def _cells(row: Row) -> tuple[str, ...]:
    goal = row.goal or Goal(None, None)
    return (
        row.name,
        _result(row),
        _wanted(row, goal.must),
        _wanted(row, goal.aim),
        "" if row.cpu is None else f"{row.cpu:.2f} ms",
        "" if row.memory is None else f"{row.memory / _MB:,.0f} MB",
        "" if row.connections is None else f"{row.connections:,.0f}",
        "" if row.at_a_time is None else f"{row.at_a_time}",
        "" if row.wall is None else f"{row.wall:.1f} s",
    )


def _result(row: Row) -> str:
    shown = figure(row.value, row.unit)
    if row.goal is not None:
        shown = f"**{shown}**"
    if row.low is None or row.high is None or row.low == row.high:
        return shown
    return f"{shown} ({_number(row.low, row.unit)}-{_number(row.high, row.unit)})"


def _wanted(row: Row, wanted: float | None) -> str:
    if row.goal is None or wanted is None:
        return ""
    sign = "≤" if row.goal.at_most else "≥"
    verdict = "✓" if row.goal.is_met(row.value, wanted) else "✗"
    return f"{sign} {wanted:,g}{row.unit and f' {row.unit}'} {verdict}"


def figure(value: float, unit: str) -> str:
    """Return a number with its unit and a sensible number of digits."""
    return f"{_number(value, unit)} {unit}".rstrip()


def _number(value: float, unit: str) -> str:
    if unit in {"x", "s"}:
        return f"{value:.2f}"
    return f"{value:.1f}" if unit == "%" else f"{value:,.0f}"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    filled = [*cells, *[""] * (len(widths) - len(cells))]
    first, *rest = zip(filled, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return f"| {' | '.join(padded)} |"
