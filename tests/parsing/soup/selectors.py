"""CSS selectors for the tests of ``select``."""

from __future__ import annotations

from hypothesis import strategies as st

_TRANSLATED = """
p | * | a.b | .a.b | #x | p#x.a | a[href] | [href="x"] | a[title=''] | [href^='h'] | [href$="l"]
[href*=t] | [title~=y] | [title|=en] | div p | div > p | div>p>b | h1 + p | h1, h2 | .a .b , i
li:first-child | li:last-child | li:only-child | p:first-of-type | p:last-of-type | b:only-of-type
td:nth-child(2) | td:nth-last-child(1) | li:nth-of-type(3) | li:nth-last-of-type(2)
a:not(.b) | :not(p) | a:not([href]) | b:not(p b) | p:not(:first-child) | DIV.a | A[HREF]
html | body > * | head title | .größe | #été | [data-x="a'b"] | [data-x='a b'] | p > b + i
a:not(.a):not(#x) | .a > .b:first-child | *:nth-child(1) | title
""".replace("\n", "|")
_OTHERS = r"""
p ~ b | a:nth-child(odd) | li:nth-child(2n+1) | a:-soup-contains("x") | :is(h1, h2) | p:has(b)
:root | p:empty | a[rel=next] | [class="a b"] | input[type=TEXT] | [a=b i] | svg|a | .a\.b | a/**/b
[href!=x] | [title^=''] | *:first-of-type | [title~='x y'] | a:link | :not(.a, .b) | é | [é]
li:nth-child(0) | [a="'\""] | :nth-child(2 of .a)
""".replace("\n", "|")


def _split(text: str) -> list[str]:
    return [css.strip() for css in text.replace("svg|a", "svg¦a").replace("|=", "¦=").split("|")]


SELECTORS = [css.replace("¦", "|") for css in _split(_TRANSLATED) if css]
OTHER_SELECTORS = [css.replace("¦", "|") for css in _split(_OTHERS) if css]

COMPOUNDS = st.sampled_from(
    [
        *("*", "p", "b", "i", "a", "div", "table", "tr", "td", "li", "html", "body", "title"),
        *(".a", ".b", "div.a.b", "[href]", "[href=x]", "[href^=x]", "[class]", ":first-child"),
        *("td:last-child", "b:nth-child(2)", "i:nth-of-type(2)", "li:only-child", "b:not(.a)"),
        *("*:not(div)", "p:not(:last-child)", "b:last-of-type", "*:nth-last-child(2)", "option"),
    ]
)


@st.composite
def random_selectors(draw: st.DrawFn) -> str:
    """Draw one or two selectors of up to three compounds."""

    def selector() -> str:
        css = draw(COMPOUNDS)
        for combinator in draw(st.lists(st.sampled_from([" ", " > ", " + "]), max_size=2)):
            css += combinator + draw(COMPOUNDS)
        return css

    return ", ".join([selector() for _ in range(draw(st.integers(1, 2)))])
