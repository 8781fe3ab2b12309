"""Renders a Dataverse e-mail template: XSLT 1.0 over `/data/<entity>/<attribute>`, without network or file access.

Dataverse stores subject and body as stylesheets that put out text; the body's text is HTML, and merged values are not
escaped by the stylesheet, so they are escaped here. Newer templates are plain HTML.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import lru_cache

from lxml import etree

from connector.errors import BadData

LONGEST = 1_000_000
"""Characters of output; a template beyond it is broken."""
Data = Mapping[str, Mapping[str, str]]
"""Entity name to attribute name to value."""


def render(stylesheet: str, data: Data, *, escape: bool) -> str:
    """The text that a stylesheet puts out. `escape` makes merged values safe inside HTML.

    Raises BadData, without quoting data, where the stylesheet is broken.
    """
    if not is_stylesheet(stylesheet):
        return stylesheet.lstrip("\ufeff")
    try:
        text = str(_compiled(stylesheet)(_document(data, escape=escape)))
    except (etree.XSLTError, ValueError, LookupError) as error:
        raise BadData(f"the template cannot be rendered ({type(error).__name__}): correct its text") from None
    if len(text) > LONGEST:
        raise BadData("the template puts out more than a million characters: correct its text")
    return text


def is_stylesheet(text: str) -> bool:
    """Whether a template's column is XSLT, not plain text or HTML."""
    return "http://www.w3.org/1999/XSL/Transform" in text


class _NothingElse(etree.Resolver):
    """Refuses what a stylesheet includes or imports: access control alone does not."""

    def resolve(self, *_asked: object) -> None:
        raise etree.XSLTParseError("a template may not read other files")


@lru_cache(maxsize=16)
def _compiled(stylesheet: str) -> etree.XSLT:
    # Dataverse's text is decoded already, so whatever encoding the declaration names does not count.
    # A blank between two columns stands in a CDATA section; taken out of it, XSLT would drop it as layout.
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, encoding="utf-8", strip_cdata=False
    )
    parser.resolvers.add(_NothingElse())
    try:
        # A byte-order mark before the declaration is what Dataverse's own templates have.
        tree = etree.fromstring(stylesheet.lstrip("\ufeff \r\n").encode("utf-8"), parser)
        return etree.XSLT(tree, access_control=etree.XSLTAccessControl.DENY_ALL)  # type: ignore[attr-defined]  # not in its stubs
    except (etree.XSLTParseError, etree.XMLSyntaxError) as error:
        raise BadData(f"the template is no valid stylesheet ({type(error).__name__}): correct its text") from None


def _document(data: Data, *, escape: bool) -> etree._ElementTree:
    root = etree.Element("data")
    for entity, attributes in data.items():
        node = etree.SubElement(root, entity)
        for name, value in attributes.items():
            readable = "".join(character for character in value if character.isprintable() or character in "\n\t")
            etree.SubElement(node, name).text = html.escape(readable) if escape else readable
    return etree.ElementTree(root)
