"""What an announcement says and which event it means, whatever its shape."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connector import mappings as mapping_files
from connector.announcements.accept import (
    NEWEST,
    OLDEST,
    READ_AGAIN_FOR,
    Ignored,
    call_id,
    event_of,
    from_read_row,
    from_webhook,
    mapping_for,
    mapping_of,
)
from connector.announcements.reading import (
    LONGEST_IDENTITY,
    LONGEST_LOCATION,
    Announcement,
    from_context,
    from_parts,
    from_row,
)
from connector.announcements.remote_context import NOBODY, RemoteContext
from connector.calls.effects import ReadAnnouncement, SetDoNotDisturb, from_json, to_json
from connector.calls.events import Dialled, Ended
from connector.mappings import EventMapping
from tests.conftest import START

MAPPINGS = mapping_files.load()
AGENT, OTHER = "97c90b02-4e38-ef11-a315-000d3a5a54dc", "11bb11bb-cc22-dd33-ee44-55ff55ff55ff"
ROW = "6d81597f-0f9f-e711-8122-000d3aa2331c"
PARTS: dict[str, Any] = {
    "agent_id": AGENT,
    "dialled": "911",
    "call_key": "call-7",
    "at": "2026-03-02T09:59:30Z",
    "country": "US",
    "location": "1 Main Street",
    "callback_number": "+12025550101",
    "agent_identity": "8:acs:a_b",
}
NAMES = {
    "agent_id": "AgentId",
    "dialled": "DialledNumber",
    "call_key": "CallId",
    "at": "DialledOn",
    "country": "Country",
    "location": "Location",
    "callback_number": "CallbackNumber",
    "agent_identity": "AgentIdentity",
}
COLUMNS = {
    "agent_id": "ec_agentid",
    "dialled": "ec_diallednumber",
    "call_key": "ec_emergencycallid",
    "at": "ec_dialledon",
    "country": "ec_country",
    "location": "ec_location",
    "callback_number": "ec_callbacknumber",
    "agent_identity": "ec_agentidentity",
}
SCALARS = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | st.text(st.characters())
WILD = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["Id", "Value", "__value", "__type"]) | st.text(), inner)
    ),
    max_leaves=10,
) | st.sampled_from(
    ["\ud800", "\x00", "0001-01-01T00:00:00+02:00", "/Date(99999999999999)/", NOBODY, "911", "8:\ud800"]
)
WILD_PARTS = st.fixed_dictionaries({}, optional=dict.fromkeys(PARTS, WILD))


def read(kind: str = "dialled", source: str = "op", **parts: Any) -> Announcement:
    return from_parts(kind, source, PARTS | parts)


def context(message: str, *, row_id: str | None = None, table: str = "none", **values: Any) -> RemoteContext:
    """Of a Custom API where the table is "none", else of a row."""
    on_row = table != "none"
    return RemoteContext(
        message,
        table,
        row_id,
        "op",
        parameters={"Target": {}} if on_row else values,
        attributes=values if on_row else {},
    )


def announced(context: RemoteContext) -> Announcement | None:
    mapping = mapping_of(context, MAPPINGS)
    assert mapping is not None
    return from_context(context, mapping)


def event(now: datetime = START, **parts: Any) -> Dialled | None:
    """What a dial with these parts means."""
    found = event_of(read(**parts), MAPPINGS, now)
    assert not isinstance(found, Ended)
    return found


def dial(**parts: Any) -> Dialled:
    found = event(**parts)
    assert found is not None, "no emergency"
    return found


def row_mapping(kind: str) -> EventMapping:
    return next(mapping for mapping in MAPPINGS.events if mapping.table and mapping.event == kind)


# The ways in: parameters of a Custom API, a row's columns, a row of the Web API


def test_the_parameters_of_the_custom_api() -> None:
    found = announced(context("ec_EmergencyCallDialled", **{NAMES[part]: value for part, value in PARTS.items()}))
    assert found == Announcement(
        kind="dialled",
        source="op",
        agent_id=AGENT,
        call_key="call-7",
        dialled="911",
        at=START - timedelta(seconds=30),
        country="US",
        location="1 Main Street",
        callback_number="+12025550101",
        agent_identity="8:acs:a_b",
    )


def test_the_end_by_the_custom_api() -> None:
    found = announced(context("ec_EmergencyCallEnded", AgentId=AGENT, CallId="call-7", EndedOn="/Date(1772445600000)/"))
    assert found == Announcement("ended", "op", agent_id=AGENT, call_key="call-7", at=START)


def test_a_new_row_is_a_dial() -> None:
    values = {COLUMNS[part]: value for part, value in PARTS.items()}
    found = announced(context("Create", table="ec_emergencycall", row_id=ROW, **values))
    assert found == read()


def test_a_row_is_a_calls_key_where_no_column_holds_one() -> None:
    found = announced(context("Create", table="ec_emergencycall", row_id=ROW, ec_agentid={"Id": AGENT}))
    assert found is not None
    assert (found.call_key, found.agent_id, found.problems) == (ROW, AGENT, ())


def test_an_update_ends_the_call_once_its_end_is_filled_in() -> None:
    found = announced(context("Update", table="ec_emergencycall", row_id=ROW, ec_endedon="/Date(1772445600000)/"))
    assert found is not None
    assert (found.kind, found.call_key, found.at) == ("ended", ROW, START)


@pytest.mark.parametrize("values", [{}, {"ec_endedon": None}, {"ec_endedon": ""}, {"ec_location": "x"}])
def test_another_update_announces_nothing(values: dict[str, Any]) -> None:
    assert announced(context("Update", table="ec_emergencycall", row_id=ROW, **values)) is None


@pytest.mark.parametrize(
    ("message", "table"),
    [
        ("Create", "contact"),
        ("Delete", "ec_emergencycall"),
        ("Update", "none"),
        ("", ""),
        ("ec_emergencycalldialled", "x"),
    ],
)
def test_other_messages_are_not_ours(message: str, table: str) -> None:
    assert mapping_of(RemoteContext(message, table, None, "op"), MAPPINGS) is None


@pytest.mark.parametrize("table", ["none", "", "ec_emergencycall"])
def test_a_custom_api_is_known_by_its_message_alone(table: str) -> None:
    mapping = mapping_of(RemoteContext("ec_EmergencyCallDialled", table, None, "op"), MAPPINGS)
    assert mapping is not None
    assert mapping.event == "dialled"


def test_a_row_of_the_web_api_names_lookups_its_own_way() -> None:
    row = {"_ec_agentid_value": AGENT, "ec_diallednumber": "911", "ec_dialledon": "2026-03-02T10:00:00Z"}
    found = from_row(row_mapping("dialled"), row, ROW)
    assert found is not None
    assert (found.agent_id, found.dialled, found.call_key, found.at) == (AGENT, "911", ROW, START)
    assert found.problems == ()


def test_a_row_that_could_not_be_read_is_a_dial_of_somebody() -> None:
    found = from_row(row_mapping("dialled"), {}, ROW)
    assert found is not None
    assert (found.kind, found.call_key, found.problems) == ("dialled", ROW, ("agent_id",))
    assert isinstance(event_of(found, MAPPINGS, START), Dialled)


def test_the_same_call_has_one_id_whether_its_row_or_its_context_is_read() -> None:
    by_context = announced(context("Create", table="ec_emergencycall", row_id=ROW, ec_agentid={"Id": AGENT.upper()}))
    assert by_context is not None
    by_row = from_row(row_mapping("dialled"), {"_ec_agentid_value": AGENT}, ROW)
    assert by_row is not None
    assert call_id(by_context) == call_id(by_row)


def read_again(**changed: Any) -> ReadAnnouncement:
    body = {
        "MessageName": "Create",
        "PrimaryEntityName": "ec_emergencycall",
        "PrimaryEntityId": ROW,
        "InputParameters": [],
    }
    found = from_webhook(json.dumps(body).encode(), MAPPINGS, START, stripped=True)
    assert isinstance(found, ReadAnnouncement)
    return replace(found, **changed)


def test_a_stripped_context_is_read_again_by_the_mapping_of_its_message() -> None:
    effect = read_again()
    assert (effect.row_id, effect.until) == (ROW, START + READ_AGAIN_FOR)
    mapping = mapping_for(effect, MAPPINGS)
    assert mapping is not None
    assert (mapping.message, mapping.event) == ("Create", "dialled")
    found = from_read_row(effect, {"_ec_agentid_value": AGENT, "ec_diallednumber": "911"}, MAPPINGS, START)
    assert isinstance(found, Dialled)
    assert found.agent_id == AGENT


def test_one_that_was_stored_before_messages_were_named_is_still_read() -> None:
    assert mapping_for(read_again(message=""), MAPPINGS) == mapping_for(read_again(), MAPPINGS)


@pytest.mark.parametrize("changed", [{"table": "ec_renamed"}, {"message": "ec_Renamed"}])
def test_a_dial_whose_mapping_is_gone_alarms_and_an_end_does_nothing(changed: dict[str, str]) -> None:
    found = from_read_row(read_again(**changed), {"_ec_agentid_value": AGENT}, MAPPINGS, START)
    assert isinstance(found, Dialled)
    assert not found.agent_named
    ended = from_read_row(read_again(event="ended", **changed), {"_ec_agentid_value": AGENT}, MAPPINGS, START)
    assert ended == Ignored("end_of_nobody")


def test_a_row_whose_end_is_not_set_announces_no_end() -> None:
    assert from_row(row_mapping("ended"), {"_ec_agentid_value": AGENT, "ec_endedon": None}, ROW) is None
    assert from_row(row_mapping("ended"), {"_ec_agentid_value": AGENT, "ec_endedon": "2026-03-02T10:00:00Z"}, ROW)


# Parts


@pytest.mark.parametrize("raw", [AGENT, AGENT.upper(), f"{{{AGENT}}}", f" {AGENT} ", {"Id": AGENT}, {"__value": AGENT}])
def test_an_agent_is_read_in_every_shape(raw: Any) -> None:
    assert read(agent_id=raw).agent_id == AGENT


@pytest.mark.parametrize(
    ("part", "raw"),
    [
        ("agent_id", "somebody"),
        ("agent_id", True),
        ("dialled", "nine one one"),
        ("dialled", True),
        ("dialled", {}),
        ("call_key", []),
        ("at", "soon"),
        ("at", "/Date(99999999999999999)/"),
        ("country", {"Name": "x"}),
        ("location", []),
        ("callback_number", "911"),
        ("callback_number", "555-0100"),
        ("agent_identity", "somebody"),
        ("agent_identity", "8:" + "x" * LONGEST_IDENTITY),
    ],
)
def test_an_unreadable_part_is_left_out_and_named(part: str, raw: Any) -> None:
    found = read(**{part: raw})
    assert getattr(found, part) is None
    assert found.problems == (part,)
    assert replace(found, problems=(), **{part: getattr(read(), part)}) == read(), "the others are not touched"


@pytest.mark.parametrize("part", [part for part in PARTS if part != "agent_id"])
@pytest.mark.parametrize("raw", [None, ""])
def test_a_part_that_was_not_given_is_no_problem(part: str, raw: Any) -> None:
    found = read(**{part: raw})
    assert getattr(found, part) is None
    assert found.problems == ()


@pytest.mark.parametrize("raw", [None, "", "x"])
def test_a_missing_agent_is_named_once(raw: Any) -> None:
    assert read(agent_id=raw).problems == ("agent_id",)


def test_the_empty_guid_of_net_is_no_agent() -> None:
    assert read(agent_id=NOBODY).agent_id is None
    assert read(agent_id=NOBODY).problems == ("agent_id",)


def test_the_empty_guid_of_net_is_no_calls_key() -> None:
    one, two = read(source="op-1", call_key=NOBODY), read(source="op-2", call_key=NOBODY)
    assert call_id(one) != call_id(two), "else the second call of the agent is taken for the first"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [("9-1-1", "911"), ("911", "911"), (911, "911"), ("tel:911", "911"), ("+911", "+911"), ("*31#112", "*31#112")],
)
def test_what_was_dialled_without_what_is_added_for_reading(raw: Any, expected: str) -> None:
    assert read(dialled=raw).dialled == expected


def test_a_location_is_one_readable_line() -> None:
    found = read(location="  1 Main\r\n\tStreet\x00\x1b[31m \u202eFloor\u200b 2  ")
    assert found.location == "1 Main Street [31m Floor 2"


@pytest.mark.parametrize("raw", ["\x00\x01", "\u200b", " \n "])
def test_a_location_of_nothing_readable_is_none(raw: str) -> None:
    assert read(location=raw).location is None


def test_letters_of_every_country_stay_in_a_location() -> None:
    assert read(location="Nyhavn 1, København 東京 <b>&").location == "Nyhavn 1, København 東京 <b>&"


def test_over_long_parts_are_cut_or_left_out() -> None:
    found = read(dialled="9" * 1000, country="x" * 1000, location="y " * 10_000, agent_identity="8:" + "z" * 298)
    assert found.dialled is not None
    assert found.country is not None
    assert found.location is not None
    assert (len(found.dialled), len(found.country)) == (32, 80)
    assert LONGEST_LOCATION - 1 <= len(found.location) <= LONGEST_LOCATION
    assert found.agent_identity == "8:" + "z" * 298, "an identity cut short would reach somebody else"


def storable(text: str) -> bool:
    """Whether both databases take a text: no NUL, which PostgreSQL refuses, and no half character."""
    return "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


@pytest.mark.parametrize("part", ["country", "agent_identity"])
@pytest.mark.parametrize("raw", ["8:acs:a\x00b", "8:acs:a\ud800b"], ids=["nul", "half"])
def test_no_part_holds_what_a_database_refuses_and_the_dial_is_lost_for(part: str, raw: str) -> None:
    assert storable(getattr(read(**{part: raw}), part) or "")


@pytest.mark.parametrize("raw", ["+1 202 555 0101", "tel:+12025550101", "4:+12025550101"])
def test_an_identity_may_be_a_phone_number(raw: str) -> None:
    assert read(agent_identity=raw).agent_identity == "+12025550101"


def test_an_acs_identity_is_kept_as_it_is() -> None:
    assert read(agent_identity="8:acs:Res_Id-9").agent_identity == "8:acs:Res_Id-9"


# The call's id


def test_the_same_announcement_is_the_same_call() -> None:
    assert call_id(read()) == call_id(read())
    assert call_id(read(source="op-1")) == call_id(read(source="op-2")), "its key is what counts"
    assert call_id(read("ended")) == call_id(read()), "its end finds it"
    assert call_id(read(agent_id=AGENT.upper())) == call_id(read())


def test_another_agent_or_key_is_another_call() -> None:
    ids = {
        call_id(read()),
        call_id(read(agent_id=OTHER)),
        call_id(read(call_key="call-8")),
        call_id(read(agent_id=None)),
    }
    assert len(ids) == 4


def test_without_a_key_the_operation_tells_calls_apart() -> None:
    assert call_id(read(call_key=None, source="op-1")) == call_id(read(call_key="", source="op-1"))
    assert call_id(read(call_key=None, source="op-1")) != call_id(read(call_key=None, source="op-2"))


# The event


@pytest.mark.parametrize("dialled", ["911", "112", "999", "9-1-1", "+911", " 112 ", "tel:999", "(911)"])
@pytest.mark.parametrize("country", ["US", "PR", "CA", "GB", "DK", "FR", None])
def test_911_112_and_999_are_emergencies_everywhere(dialled: str, country: str | None) -> None:
    assert dial(dialled=dialled, country=country).drill is False


@pytest.mark.parametrize("dialled", ["4:911", "tel:911;phone-context=+1", "sip:911@10.0.0.1", 911.0])
def test_an_emergency_number_is_one_in_every_dress(dialled: Any) -> None:
    assert event(dialled=dialled) is not None


@pytest.mark.parametrize("dialled", [None, "", "nine one one", "\u0669\u0661\u0661", True, []])
def test_a_number_that_cannot_be_read_is_an_emergency(dialled: Any) -> None:
    assert dial(dialled=dialled).drill is False


def test_933_is_a_drill() -> None:
    assert dial(dialled="933").drill is True


@pytest.mark.parametrize("dialled", ["555-0100", "+12025550100", "0", "91", "9111", "19990", "*911999"])
def test_other_numbers_are_no_emergency(dialled: str) -> None:
    assert event(dialled=dialled) is None


def test_a_dial_tells_all_that_was_announced() -> None:
    assert event_of(read(), MAPPINGS, START) == Dialled(
        agent_id=AGENT,
        call_id=call_id(read()),
        at=START,
        dialled="911",
        dialled_at=START - timedelta(seconds=30),
        country="US",
        location="1 Main Street",
        drill=False,
        callback_number="+12025550101",
        agent_identity="8:acs:a_b",
        agent_named=True,
    )


def test_a_call_of_an_unnamed_agent_is_kept_apart_from_every_other() -> None:
    one, two = dial(agent_id=None, call_key="1"), dial(agent_id="?", call_key="2")
    assert not one.agent_named
    assert not two.agent_named
    assert one.agent_id != two.agent_id
    assert one.agent_id == f"unnamed/{one.call_id}"


@pytest.mark.parametrize(
    ("ago", "believed"),
    [
        (timedelta(0), timedelta(0)),
        (timedelta(hours=3), timedelta(hours=3)),
        (OLDEST, OLDEST),
        (-timedelta(seconds=30), timedelta(0)),
        (-NEWEST, timedelta(0)),
        (OLDEST + timedelta(seconds=1), None),
        (-NEWEST - timedelta(seconds=1), None),
        (timedelta(days=20_000), None),
    ],
)
def test_an_implausible_time_is_ignored(ago: timedelta, believed: timedelta | None) -> None:
    found = dial(at=(START - ago).isoformat())
    assert found.at == START
    assert found.dialled_at == (None if believed is None else START - believed)


def test_an_end_names_its_call() -> None:
    event = event_of(read("ended"), MAPPINGS, START)
    assert isinstance(event, Ended)
    assert (event.agent_id, event.call_id, event.at) == (AGENT, call_id(read()), START)


def test_an_end_without_a_key_ends_what_is_open() -> None:
    event = event_of(read("ended", call_key=None, at=START.isoformat()), MAPPINGS, START)
    assert isinstance(event, Ended)
    assert (event.call_id, event.ended_at, event.delivery) == (None, START, "op")


def test_an_end_of_nobodys_call_means_nothing() -> None:
    assert event_of(read("ended", agent_id=None), MAPPINGS, START) is None


def test_an_end_needs_no_emergency_number() -> None:
    assert isinstance(event_of(read("ended", dialled="555-0100"), MAPPINGS, START), Ended)


# Wild values


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw of a process reads what hypothesis knows
@given(WILD_PARTS, st.sampled_from(["dialled", "ended", "?"]))
@example({"at": "0001-01-01T00:00:00+02:00"}, "dialled")
@example({"call_key": "\ud800"}, "dialled")
@example({"location": "\ud800", "country": "\ud800"}, "dialled")
@example({"dialled": float("inf"), "callback_number": float("nan")}, "dialled")
def test_no_parts_raise(parts: dict[str, Any], kind: str) -> None:
    found = from_parts(kind, "op", parts)
    for problem in found.problems:
        assert getattr(found, problem) is None
    for part in (found.dialled, found.country, found.location, found.callback_number, found.agent_identity):
        assert storable(part or "")
    meant = event_of(found, MAPPINGS, START)
    if kind != "ended" and (found.dialled is None or found.dialled in ("911", "112", "999")):
        assert isinstance(meant, Dialled), "when in doubt, it is an emergency"
    effect = SetDoNotDisturb(call_id(found))
    assert from_json(to_json(effect)) == effect


@given(st.dictionaries(st.sampled_from([*NAMES.values(), *COLUMNS.values(), "ec_endedon"]), WILD))
@example({"CallId": "\ud800"})
def test_no_context_raises(values: dict[str, Any]) -> None:
    for message, table in [("ec_EmergencyCallDialled", "none"), ("Create", "ec_emergencycall")]:
        found = announced(context(message, table=table, row_id=ROW, **values))
        assert found is not None
        assert found.kind == "dialled"
        event_of(found, MAPPINGS, START)
    announced(context("Update", table="ec_emergencycall", row_id=ROW, **values))


@given(st.text(st.characters()))
@example("\ud800")
def test_no_operation_raises(operation: str) -> None:
    assert call_id(read(call_key=None, source=operation)) == call_id(read(call_key=None, source=operation))
