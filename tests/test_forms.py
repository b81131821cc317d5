"""HTML forms → requests."""

from __future__ import annotations

from typing import Any

import pytest
from lxml import etree

from crawler import forms, urls
from crawler.errors import SpiderError
from tests.conformance import expect_misses, rows

PAGE = "https://shop.example/account/login?next=/"

VECTORS = expect_misses(
    rows("forms/form2request.jsonl"),
    {
        "form2request/29": "a plain button is no submit button, so browsers never send it "
        "(HTML standard, constructing the entry list)",
    },
)


@pytest.mark.parametrize("row", VECTORS)
def test_form2request(row: dict[str, Any]) -> None:
    root = etree.HTML(row["html"])
    options = dict(row["options"])
    if isinstance(options.get("click"), str):
        options["click"] = root.xpath(options["click"])[0]
    form = forms.find(root, None, row["base_url"])
    if "raises" in row:
        with pytest.raises(SpiderError):
            form.to_request(**options)
        return
    request = form.to_request(**options)
    expected = row["expected"]
    assert request.url == urls.normalise(expected["url"])
    assert request.method == expected["method"]
    assert list((request.headers or {}).items()) == [tuple(one) for one in expected["headers"]]
    assert (request.data or b"") == expected["body"].encode()


def form_of(html: str, css: str | None = None, base: str = PAGE) -> forms.Form:
    return forms.find(etree.HTML(html), css, base)
