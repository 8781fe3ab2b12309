"""Templates of Dataverse: XSLT that puts out text, rendered without network or files."""

from __future__ import annotations

import html
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.errors import BadData
from connector.notifications.template import LONGEST, is_stylesheet, render

BOM = "\ufeff"
DATA = {
    "systemuser": {"fullname": "Jane <b>Doe</b> & Co", "title": "", "address1_city": "Seattle\n\tWA"},
    "emergencycall": {"location": "1 Main Street"},
}


def sheet(inside: str, *, attributes: str = "", before: str = "", method: str = "text") -> str:
    """A stylesheet in the form of Dataverse's own."""
    return (
        f'{before}<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0" {attributes}>'
        f'<xsl:output method="{method}" indent="no"/><xsl:template match="/data">{inside}</xsl:template>'
        "</xsl:stylesheet>"
    )


def value(path: str) -> str:
    return f'<xsl:value-of select="{path}"/>'


def slug(*paths: str, default: str) -> str:
    """How Dataverse writes a placeholder: the first that is present wins, else the default text."""
    choices = "".join(f'<xsl:when test="{path}">{value(path)}</xsl:when>' for path in paths)
    return f"<xsl:choose>{choices}<xsl:otherwise>{default}</xsl:otherwise></xsl:choose>"


NAME = sheet(value("systemuser/fullname"))
LEAK = sheet("LEAKED").replace('match="/data"', 'match="/data" priority="9"')


def rendered(stylesheet: str) -> str:
    return render(stylesheet, DATA, escape=False)


def refused(stylesheet: str) -> str:
    with pytest.raises(BadData) as caught:
        render(stylesheet, DATA, escape=True)
    return str(caught.value)


# What a stylesheet says


def test_text_and_values_are_put_out() -> None:
    inside = f"<![CDATA[<p>Call of&nbsp;]]>{value('systemuser/fullname')}<![CDATA[</p>]]>"
    assert rendered(sheet(inside)) == "<p>Call of&nbsp;Jane <b>Doe</b> & Co</p>"


def test_the_first_value_that_is_present_wins() -> None:
    both = slug("systemuser/nickname", "systemuser/fullname", default="somebody")
    assert rendered(sheet(both)) == "Jane <b>Doe</b> & Co"
    assert rendered(sheet(slug("systemuser/nickname", "contact/fullname", default="somebody"))) == "somebody"


def test_a_lookups_name_and_an_unknown_entity_are_empty() -> None:
    assert rendered(sheet(f"[{value('systemuser/managerid/@name')}{value('incident/title')}]")) == "[]"


def test_both_entities_can_be_named() -> None:
    assert rendered(sheet(value("/data/emergencycall/location"))) == "1 Main Street"


@pytest.mark.parametrize(
    "before",
    [
        BOM,
        BOM + '<?xml version="1.0" ?>',
        '<?xml version="1.0" encoding="utf-8"?>\n',
        "\r\n  ",
        BOM + "\r\n",
        "<!-- x -->",
    ],
)
def test_what_may_stand_before_a_stylesheet(before: str) -> None:
    assert rendered(sheet("Å" + value("emergencycall/location"), before=before)) == "Å1 Main Street"


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "us-ascii"])
def test_a_declared_encoding_is_not_believed_since_dataverse_hands_over_text(encoding: str) -> None:
    assert rendered(sheet("København", before=f'<?xml version="1.0" encoding="{encoding}"?>')) == "København"


def test_white_space_of_text_is_kept() -> None:
    assert rendered(sheet("<xsl:text>  a\n </xsl:text>b")) == "  a\n b"


def test_nothing_put_out_is_empty() -> None:
    assert rendered(sheet("")) == ""


@pytest.mark.parametrize(
    "text", ["", "Emergency", "<div>An agent has dialled.</div>", "<xsl:template>", "{{name}} & <"]
)
def test_plain_text_and_html_are_taken_as_they_are(text: str) -> None:
    assert not is_stylesheet(text)
    assert rendered(text) == text
    assert rendered(BOM + text) == text


def test_a_stylesheet_is_known_by_its_namespace() -> None:
    assert is_stylesheet(NAME)


# Escaping


def test_values_are_escaped_for_html_only() -> None:
    assert render(NAME, DATA, escape=True) == "Jane &lt;b&gt;Doe&lt;/b&gt; &amp; Co"
    assert render(NAME, DATA, escape=False) == "Jane <b>Doe</b> & Co"


def test_values_in_quotes_cannot_end_an_attribute() -> None:
    data = {"emergencycall": {"location": '" onload="x' + "' y"}}
    text = render(sheet(f'<![CDATA[<a title="]]>{value("emergencycall/location")}<![CDATA[">]]>'), data, escape=True)
    assert text == '<a title="&quot; onload=&quot;x&#x27; y">'


def test_control_characters_are_dropped_and_line_breaks_kept() -> None:
    data = {"systemuser": {"fullname": "a\x00b\x1b\r\nc\td\ud800\ufffe"}}
    assert render(NAME, data, escape=True) == "ab\nc\td"


WILD = st.text(st.characters(), max_size=50)


@given(st.dictionaries(st.sampled_from(["fullname", "title"]), WILD))
@example({"fullname": "\ud800"})
@example({"fullname": "\x00<!--"})
@example({"fullname": "]]>&nope;"})
def test_no_value_raises_or_changes_the_markup(attributes: dict[str, str]) -> None:
    text = render(
        sheet(f"<![CDATA[<i>]]>{value('systemuser/fullname')}<![CDATA[</i>]]>"), {"systemuser": attributes}, escape=True
    )
    assert (text.count("<"), text.count(">")) == (2, 2)
    wild = attributes.get("fullname", "")
    shown = "".join(character for character in wild if character.isprintable() or character in "\n\t")
    assert html.unescape(text) == f"<i>{shown}</i>"


@given(WILD)
@example('<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>')
@example("http://www.w3.org/1999/XSL/Transform \ud800")
def test_no_template_raises_anything_but_bad_data(text: str) -> None:
    for template in (text, sheet(text), text + NAME, sheet(value(text)), sheet("x", attributes=text)):
        with suppress(BadData):
            assert isinstance(render(template, DATA, escape=True), str)


@pytest.mark.parametrize("encoding", ["utf-16", "us-ascii", "x-unknown", ""])
def test_no_encoding_of_the_output_raises(encoding: str) -> None:
    template = NAME.replace('method="text"', f'method="text" encoding="{encoding}"')
    with suppress(BadData):
        assert rendered(template) == "Jane <b>Doe</b> & Co"


@given(st.text("abc<&é-:1 ", min_size=1, max_size=8))
def test_names_that_are_no_xml_names_are_bad_data(name: str) -> None:
    with suppress(BadData):
        assert render(NAME, {"systemuser": {"fullname": "Jane", name: "x"}}, escape=True) == "Jane"


# Broken ones


@pytest.mark.parametrize(
    "broken",
    [
        NAME.replace("</xsl:stylesheet>", ""),
        sheet("&nbsp;"),
        sheet(value("systemuser[")),
        sheet(value("nosuchfunction()")),
        sheet('<xsl:call-template name="missing"/>'),
        sheet('<xsl:message terminate="yes">Jane</xsl:message>'),
        "not XML, yet it names http://www.w3.org/1999/XSL/Transform",
    ],
)
def test_a_broken_stylesheet_is_bad_data_that_quotes_nothing(broken: str) -> None:
    message = refused(broken)
    assert "template" in message
    assert "Jane" not in message
    assert "fullname" not in message


@pytest.mark.parametrize(
    "inside",
    [
        '<xsl:apply-templates select="."/>',
        '<xsl:call-template name="again"/></xsl:template><xsl:template name="again">y<xsl:call-template name="again"/>',
    ],
)
def test_endless_recursion_is_bad_data(inside: str) -> None:
    refused(sheet(inside))


def test_too_much_output_is_bad_data() -> None:
    line = "x" * 1000
    many = LONGEST // 1000 + 1
    assert "million" in refused(sheet(line * many))
    assert len(rendered(sheet(line * (many - 1)))) == LONGEST


def test_a_broken_one_is_told_each_time_and_spoils_nothing() -> None:
    broken = sheet(value("systemuser["))
    assert refused(broken) == refused(broken)
    assert render(NAME, DATA, escape=False) == "Jane <b>Doe</b> & Co"


# No files, no network


def without_secret(stylesheet: str, secret: str = "LEAKED") -> bool:
    """Whether a stylesheet is refused, or puts out nothing of the secret."""
    try:
        return secret not in render(stylesheet, DATA, escape=False)
    except BadData:
        return True


@pytest.mark.parametrize("address", ["file:///etc/passwd", "/etc/passwd", "http://127.0.0.1:9/", "ftp://127.0.0.1:9/"])
def test_no_document_is_read(address: str) -> None:
    assert without_secret(sheet(value(f"document('{address}')")), "root:")
    refused(sheet(value(f"document('{address}')")))


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_no_xml_file_is_read_as_document(form: str, tmp_path: Path) -> None:
    (tmp_path / "secret.xml").write_text("<secret>LEAKED</secret>")
    assert without_secret(sheet(value(f"document('{form.format(tmp_path / 'secret.xml')}')")))


@pytest.mark.parametrize("form", ["{}", "file://{}", "file://localhost{}"])
@pytest.mark.parametrize("kind", ["import", "include"])
def test_no_other_stylesheet_is_read(kind: str, form: str, tmp_path: Path) -> None:
    (tmp_path / "secret.xsl").write_text(LEAK)
    line = f'<xsl:{kind} href="{form.format(tmp_path / "secret.xsl")}"/>'
    start = '<xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
    assert without_secret(f"{start}{line}</xsl:stylesheet>")


@pytest.mark.parametrize(
    "declaration",
    ['<!ENTITY e SYSTEM "{}">', '<!ENTITY e SYSTEM "file://{}">', '<!ENTITY % p SYSTEM "file://{}"> %p;'],
)
def test_no_external_entity_is_read(declaration: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("LEAKED")
    (tmp_path / "secret.dtd").write_text('<!ENTITY e "LEAKED">')
    file = tmp_path / ("secret.dtd" if "%" in declaration else "secret")
    before = f"<!DOCTYPE x [{declaration.format(file)}]>"
    assert without_secret(sheet("a&e;b", before=before))


def test_entities_within_entities_do_not_grow() -> None:
    entities = '<!ENTITY a "LEAKED">' + "".join(
        f'<!ENTITY {inner} "{f"&{outer};" * 10}">' for outer, inner in zip("abcdefgh", "bcdefghi", strict=True)
    )
    assert without_secret(sheet("&i;", before=f"<!DOCTYPE x [{entities}]>"), "LEAKED" * 1000)


def test_no_file_is_written(tmp_path: Path) -> None:
    exslt = 'xmlns:exsl="http://exslt.org/common" extension-element-prefixes="exsl"'
    for form in ("{}", "file://{}"):
        target = form.format(tmp_path / "written")
        without_secret(sheet(f'<exsl:document href="{target}">x</exsl:document>', attributes=exslt))
    assert list(tmp_path.iterdir()) == []


def test_a_blank_between_two_columns_is_kept() -> None:
    inside = f"{value('systemuser/title')}<![CDATA[Postal]]><![CDATA[ ]]>{value('emergencycall/location')}"
    assert rendered(sheet(f"<![CDATA[x]]><![CDATA[ ]]>{inside}")) == "x Postal 1 Main Street"
