"""The text of an HTML message for readers without HTML: one line a block."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree, html

# What neither XML nor UTF-8 can hold: control characters and halves of surrogate pairs.
_UNENCODABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINES_OF_THEIR_OWN = (
    *("p", "div", "tr", "li", "table", "ul", "ol", "blockquote"),
    *("h1", "h2", "h3", "h4", "h5", "h6"),
)


def encodable(text: str) -> str:
    """The text without what could not be sent."""
    return _UNENCODABLE.sub(" ", text)


def plain(text: str) -> str:
    """What a reader sees of some HTML, as text; the HTML itself where it cannot be read."""
    try:
        body: Any = html.document_fromstring(encodable(text), ensure_head_body=True).find("body")
    except (etree.ParserError, ValueError):
        return text
    for element in list(body.iter("style", "script")):
        element.drop_tree()
    for element in body.iter("th"):
        _follow(element, ": ")
    for element in body.iter("td"):
        _follow(element, " ")
    for element in body.iter(*_LINES_OF_THEIR_OWN):
        element.text = "\n" + (element.text or "")
        _follow(element, "\n")
    for element in body.iter("br", "hr"):
        _follow(element, "\n")
    lines = (" ".join(line.split()) for line in str(body.text_content()).splitlines())
    return "\n".join(line for line in lines if line)


def _follow(element: Any, text: str) -> None:
    element.tail = text + (element.tail or "")
