"""``crawler.parsing.soup.css_to_xpath``: which selectors are translated.

The meaning of the XPath is compared with BeautifulSoup's for ``lazy_tags``.
"""

from __future__ import annotations

import pytest

from crawler.parsing.soup.css_to_xpath import compiled
from tests.parsing.soup.selectors import OTHER_SELECTORS, SELECTORS


@pytest.mark.parametrize("css", SELECTORS)
def test_a_common_selector_needs_no_soup(css: str) -> None:
    assert compiled(css) is not None


@pytest.mark.parametrize("css", OTHER_SELECTORS)
def test_selectors_beyond_xpath_are_left_to_beautifulsoup(css: str) -> None:
    assert compiled(css) is None
