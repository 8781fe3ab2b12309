"""The message of an emergency call: whatever the template says, it names what must be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.notifications.message import CALL_ENTITY, Message, Notice, compose, for_acs
from tests.conftest import START

NOTICE = Notice(
    reason="dialled",
    drill=False,
    agent_name="Jane Doe",
    agent_number="+12025550123",
    agent_attributes={"fullname": "Jane Doe", "address1_city": "Seattle"},
    dialled="911",
    dialled_at=START,
    location="1 Main Street, Floor 2",
    country="US",
    callback_number="+12025550101",
    callback_until=START + timedelta(minutes=60),
)
CALLBACK_LINE = "Callback number: +12025550101 (reaches the agent at least until 2026-03-02 11:00:00 UTC)"
LINES = [
    "What: Emergency call",
    "Who called: Jane Doe",
    "Number dialled: 911",
    "Dialled at: 2026-03-02 10:00:00 UTC",
    CALLBACK_LINE,
    "Location: 1 Main Street, Floor 2",
    "Country: US",
]
EVIL = "<script>alert(1)</script><img src=x onerror='x'>\"&"
WILD = st.text(st.characters(), max_size=40)
MARKUP = st.lists(
    st.sampled_from(
        [
            "<p>",
            "</p>",
            "<!--",
            "-->",
            "<style>",
            "</style>",
            "<script>",
            "<table>",
            "<td>",
            "</body>",
            "<html>",
            "<head>",
            "<body>",
            "</html>",
            "<frameset>",
            "<textarea>",
            "<title>",
            "<!DOCTYPE html>",
            "<?xml version='1.0'?>",
            "&",
            "<",
            "İ",
        ]
    )
    | WILD,
    max_size=12,
).map("".join)
WILD_NOTICES = st.builds(
    Notice,
    reason=st.sampled_from(["dialled", "number"]),
    drill=st.booleans(),
    agent_name=st.none() | WILD,
    agent_number=st.none() | WILD,
    agent_attributes=st.dictionaries(st.sampled_from(["fullname", "title"]) | WILD, WILD),
    dialled=st.none() | WILD,
    dialled_at=st.none() | st.datetimes(),
    location=st.none() | WILD,
    country=st.none() | WILD,
    callback_number=st.none() | WILD,
    callback_until=st.none() | st.datetimes(),
)


def sheet(inside: str) -> str:
    return (
        '\ufeff<?xml version="1.0" ?><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
        f'<xsl:output method="text" indent="no"/><xsl:template match="/data">{inside}</xsl:template></xsl:stylesheet>'
    )


def value(path: str) -> str:
    return f'<xsl:value-of select="{path}"/>'


def call(attribute: str) -> str:
    return value(f"{CALL_ENTITY}/{attribute}")


BROKEN = sheet('<xsl:value-of select="["/>')
NAMES_BOTH = sheet(f"<![CDATA[<p>Call ]]>{call('callbacknumber')}<![CDATA[ at ]]>{call('location')}<![CDATA[</p>]]>")


def composed(subject: str = "", body: str = "", **parts: Any) -> Message:
    return compose(replace(NOTICE, **parts), subject, body, entity="systemuser")


def has_block(message: Message) -> bool:
    return "Who called:" in message.plain


# The standard text and block


def test_without_a_template_a_standard_text_takes_its_place() -> None:
    message = composed()
    assert message.subject == "Emergency call: Jane Doe has dialled 911"
    assert message.plain.splitlines() == ["Jane Doe has dialled 911.", *LINES]
    assert message.html.startswith("<p>Jane Doe has dialled 911.</p>")
    assert message.shortfalls == ("template_missing",)


def test_plain_text_has_one_line_for_each_fact() -> None:
    assert composed(body="<div>Emergency</div>").plain.splitlines() == ["Emergency", *LINES]


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    lines = composed(
        agent_name=None,
        dialled=None,
        dialled_at=None,
        location=None,
        country=None,
        agent_number=None,
        callback_number=None,
    ).plain.splitlines()
    assert lines == [
        "An agent has dialled an emergency number.",
        "What: Emergency call",
        "Who called: unknown: the announcement named no agent that is known here",
        "Number dialled: unknown",
        "Dialled at: unknown",
        "Callback number: none free at the moment.",
        "Location: unknown: none was announced. Ask the caller.",
        "Country: unknown",
    ]


def test_with_no_number_free_the_agents_own_is_told() -> None:
    message = composed(callback_number=None, callback_until=None)
    assert "Callback number: none free at the moment. Agent's own number: +12025550123" in message.plain.splitlines()


def test_a_callback_number_without_an_end_is_told_alone() -> None:
    assert "Callback number: +12025550101" in composed(callback_until=None).plain.splitlines()


# The template's own words


def test_a_template_is_followed() -> None:
    subject, body = (
        sheet(f"Help {value('systemuser/fullname')}!"),
        sheet(f"<![CDATA[<p>]]>{call('diallednumber')}<![CDATA[</p>]]>"),
    )
    message = composed(subject, body)
    assert message.subject == "Help Jane Doe!"
    assert message.plain.splitlines() == ["911", *LINES]
    assert message.shortfalls == ()


def test_default_text_of_a_template_is_followed() -> None:
    name = "systemuser/nickname"
    body = sheet(
        f'<xsl:choose><xsl:when test="{name}">{value(name)}</xsl:when>'
        "<xsl:otherwise>Somebody</xsl:otherwise></xsl:choose>"
    )
    assert composed(body=body).plain.splitlines() == ["Somebody", *LINES]


def test_a_template_may_name_every_row_of_the_block() -> None:
    names = ["kind", "agent", "diallednumber", "dialledon", "callbacknumber", "location", "country"]
    body = sheet("".join(f"<![CDATA[<p>]]>{call(name)}<![CDATA[</p>]]>" for name in names))
    assert composed(body=body).plain.splitlines() == [line.split(": ", 1)[1] for line in LINES]


def test_a_template_that_names_both_gets_no_block() -> None:
    message = composed(body=NAMES_BOTH)
    assert not has_block(message)
    assert message.plain == f"Call {CALLBACK_LINE.removeprefix('Callback number: ')} at 1 Main Street, Floor 2"


@pytest.mark.parametrize("named", ["callbacknumber", "location", "country"])
def test_a_template_that_names_only_one_gets_the_block(named: str) -> None:
    assert has_block(composed(body=sheet(call(named))))


@pytest.mark.parametrize("missing", ["callback_number", "location"])
def test_what_is_missing_is_told_though_the_template_names_both(missing: str) -> None:
    parts: dict[str, Any] = {missing: None}
    assert has_block(composed(body=NAMES_BOTH, **parts))


@pytest.mark.parametrize(
    "body", ["<p>Call HQ at once: +12025550101</p>", "<p>Emergency! +12025550101. Location: see map.</p>"]
)
def test_a_template_names_a_location_only_where_it_tells_it_not_by_chance(body: str) -> None:
    assert has_block(composed(body=body, location="a")), "the letter occurs in other words"
    assert has_block(composed(body=body, location="2")), "the digit occurs in the number"


def test_facts_with_signs_of_html_are_recognised() -> None:
    assert not has_block(composed(body=NAMES_BOTH, location='Smith & Sons, <2nd> "floor"'))


@pytest.mark.parametrize("hidden", ["<!-- {} -->", "<style>{}</style>", '<a title="{}">x</a>', "<script>{}</script>"])
def test_what_readers_do_not_see_is_not_named(hidden: str) -> None:
    body = "<p>x</p>" + hidden.format("+12025550101 1 Main Street, Floor 2")
    assert has_block(composed(body=body))


def test_a_plain_html_template_is_taken_as_it_is() -> None:
    message = composed("Emergency", "<div>An agent needs help.</div>")
    assert message.subject == "Emergency"
    assert message.html.startswith("<div>An agent needs help.</div><hr>")


def test_the_block_stands_inside_the_body_of_a_whole_document() -> None:
    message = composed(body="<!DOCTYPE html><html><head><style>p {}</style></head><BODY><p>Hi</p></BODY></html>")
    assert message.html.endswith("</table></BODY></html>")
    assert message.plain.splitlines() == ["Hi", *LINES]


def test_letters_that_grow_in_lower_case_do_not_shift_the_block() -> None:
    message = composed(body="<html><body><p>İİİİ</p></body></html>")
    assert message.html.endswith("</table></body></html>")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<h1>Emergency</h1><p>Call back.</p>", ["Emergency", "Call back."]),
        ("Emergency<p>Call back.</p>", ["Emergency", "Call back."]),
        ("<ul><li>one</li><li>two</li></ul>", ["one", "two"]),
        ("one<br>two<br/>three", ["one", "two", "three"]),
        ("<p>a   b&nbsp;c</p>", ["a b c"]),
        ("<style>p {}</style><style>q {}</style><p>a</p><script>x</script>", ["a"]),
    ],
)
def test_plain_text_keeps_the_lines_of_html(body: str, expected: list[str]) -> None:
    assert composed(body=body).plain.splitlines() == [*expected, *LINES]


def test_cells_of_a_templates_own_table_do_not_run_together() -> None:
    message = composed(body="<table><tr><td>Ring</td><td>+12025550101</td></tr></table>")
    assert "Ring+12025550101" not in message.plain


# Subjects


@pytest.mark.parametrize("subject", ["", "Emergency", sheet("Emergency")])
def test_a_drill_is_marked_in_subject_and_text(subject: str) -> None:
    message = composed(subject, drill=True, dialled="933")
    assert message.subject.startswith("[Drill] ")
    assert "What: A DRILL. No emergency: a test number was dialled." in message.plain.splitlines()
    assert "[Drill]" not in composed(subject).subject


@pytest.mark.parametrize("subject", ["", "Emergency", BROKEN])
def test_a_follow_up_is_marked(subject: str) -> None:
    told = composed(subject).subject
    assert composed(subject, reason="number").subject == f"Callback number now available - {told}"
    assert composed(subject, reason="number", drill=True).subject == f"[Drill] Callback number now available - {told}"


def test_values_are_escaped_in_the_body_but_not_in_the_subject() -> None:
    template = sheet(value("systemuser/fullname"))
    message = composed(template, template, agent_attributes={"fullname": "Ann & <Bob>"})
    assert message.subject == "Ann & <Bob>"
    assert message.html.startswith("Ann &amp; &lt;Bob&gt;")
    assert message.plain.startswith("Ann & <Bob>")


@pytest.mark.parametrize("text", ["Jane\r\nBcc: x@example.com", "Jane\n\n Doe", "Jane\tDoe", "Jane\x0b\u2028Doe"])
def test_a_subject_is_one_line(text: str) -> None:
    named = sheet(value("systemuser/fullname"))
    for subject in ("", named, text):
        told = composed(subject, agent_name=text, agent_attributes={"fullname": text}).subject
        assert len(told.splitlines()) == 1
        assert "\t" not in told


# Broken templates


def test_a_broken_body_degrades_the_message_no_more() -> None:
    message = composed("Help", BROKEN)
    assert message.subject == "Help"
    assert message.plain.splitlines() == ["Jane Doe has dialled 911.", *LINES]
    assert message.shortfalls == ("template_broken",)


def test_a_broken_subject_does_not_cost_the_body() -> None:
    message = composed(BROKEN, NAMES_BOTH)
    assert message.subject == "Emergency call: Jane Doe has dialled 911"
    assert message.html == composed("", NAMES_BOTH).html
    assert message.shortfalls == ("template_broken",)


def test_endless_recursion_degrades_the_message_no_more() -> None:
    message = composed(body=sheet('<xsl:apply-templates select="."/>'))
    assert message.plain.splitlines() == ["Jane Doe has dialled 911.", *LINES]
    assert message.shortfalls == ("template_broken",)


def test_a_body_that_puts_out_nothing_gets_the_standard_text() -> None:
    assert composed(body=sheet("  ")).plain.splitlines() == ["Jane Doe has dialled 911.", *LINES]


@pytest.mark.parametrize(
    "body",
    [
        "<html></html>",
        "<html><head></head></html>",
        "<html><frameset></frameset></html>",
        "<!DOCTYPE html>",
        "<!-- x -->",
        "<html><body>a</body><body>b</body></html>",
        "<?xml version='1.0' encoding='utf-8'?><p>a</p>",
        "\x00",
        "a\ud800b",
        "<p>a</p>\x1bb",
    ],
)
def test_odd_html_does_not_raise(body: str) -> None:
    assert "+12025550101" in composed(body=body).plain


@pytest.mark.parametrize(
    "body",
    [
        "<p>Help<!-- never closed",
        "<style>p {}",
        "<script>",
        "<textarea>",
        "<title>",
        "<div hidden><!--",
        "<div>" * 3000,
    ],
)
def test_html_left_open_does_not_swallow_the_block(body: str) -> None:
    assert set(LINES) <= set(composed(body=body).plain.splitlines())


# Injection


@pytest.mark.parametrize("body", ["", NAMES_BOTH, sheet(value("systemuser/fullname")), "<p>Help</p>", BROKEN])
def test_html_in_what_was_announced_is_escaped(body: str) -> None:
    message = composed(
        body=body,
        agent_name=EVIL,
        location=EVIL,
        country=EVIL,
        dialled=EVIL,
        callback_number=EVIL,
        agent_attributes={"fullname": EVIL},
    )
    assert "<script" not in message.html
    assert "<img" not in message.html
    assert EVIL in message.plain or body == sheet(value("systemuser/fullname"))


# Wild values


@given(WILD_NOTICES, st.sampled_from(["", NAMES_BOTH, BROKEN, sheet(value("systemuser/fullname")), "<p>x</p>"]))
@example(replace(NOTICE, location="\ud800", country="\x00", agent_name="\x1b"), "")
@example(replace(NOTICE, agent_attributes={"": "x", "a b": "y"}), NAMES_BOTH)
@example(replace(NOTICE, dialled_at=datetime.min, callback_until=datetime.max), "")  # noqa: DTZ901
def test_no_notice_raises(notice: Notice, template: str) -> None:
    message = compose(notice, template, template, entity="systemuser")
    assert message.subject
    assert message.plain
    assert message.html
    assert message.subject.startswith("[Drill]") == notice.drill


@given(MARKUP, MARKUP)
@example("", "<html></html>")
@example("", "<p>Help<!--")
@example("", "<br>\x1f")
@example("\ud800", "\ud800")
def test_no_template_raises_and_every_message_tells_number_and_location(subject: str, body: str) -> None:
    message = composed(subject, body)
    assert "+12025550101" in message.plain
    assert "1 Main Street, Floor 2" in message.plain
    assert "+12025550101" in message.html


# For ACS


def test_the_form_of_acs_email() -> None:
    message = composed()
    form = for_acs(message, "alarm@example.com", ("a@example.com", "b@example.com"))
    assert form == {
        "senderAddress": "alarm@example.com",
        "content": {"subject": message.subject, "plainText": message.plain, "html": message.html},
        "recipients": {"to": [{"address": "a@example.com"}, {"address": "b@example.com"}]},
        "headers": {"x-priority": "1"},
        "userEngagementTrackingDisabled": True,
    }
