"""Bodies of Dataverse's webhooks: published ones, odd ones and wild ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.announcements.remote_context import NOBODY, RemoteContext, parse, text, time
from connector.errors import BadData

SAMPLES = Path(__file__).parents[3] / "shared" / "samples" / "webhooks"
ROW = "6d81597f-0f9f-e711-8122-000d3aa2331c"
CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
KEYS_OF_2017 = [
    "BusinessUnitId",
    "CorrelationId",
    "Depth",
    "InitiatingUserId",
    "InputParameters",
    "IsExecutingOffline",
    "IsInTransaction",
    "IsOfflinePlayback",
    "IsolationMode",
    "MessageName",
    "Mode",
    "OperationCreatedOn",
    "OperationId",
    "OrganizationId",
    "OrganizationName",
    "OutputParameters",
    "OwningExtension",
    "ParentContext",
    "PostEntityImages",
    "PreEntityImages",
    "PrimaryEntityId",
    "PrimaryEntityName",
    "RequestId",
    "SecondaryEntityName",
    "SharedVariables",
    "Stage",
    "UserId",
]
LATER_KEYS = ["InitiatingUserAzureActiveDirectoryObjectId", "UserAzureActiveDirectoryObjectId"]
RECENT_KEYS = ["InitiatingUserAgent"]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
CONTEXT_KEYS = st.sampled_from([*KEYS_OF_2017, "Unknown"])
PAIRS = st.lists(
    st.fixed_dictionaries({"key": st.sampled_from(["Target", "AgentId", "Attributes"]) | JSON, "value": JSON})
)
TARGETS = st.fixed_dictionaries({}, optional={"Id": JSON, "Attributes": PAIRS | JSON})
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "MessageName": JSON,
        "PrimaryEntityName": JSON,
        "PrimaryEntityId": JSON,
        "OperationId": JSON,
        "InputParameters": PAIRS | st.builds(lambda target: [{"key": "Target", "value": target}], TARGETS) | JSON,
    },
)


def sample(name: str) -> RemoteContext:
    file = SAMPLES / f"{name}.json"
    if not file.is_file():
        pytest.skip(f"the published samples are not beside this checkout ({SAMPLES})")
    return parse(file.read_bytes())


def body(**parts: Any) -> bytes:
    return json.dumps(parts).encode()


def pairs(**values: Any) -> list[dict[str, Any]]:
    return [{"key": name, "value": value} for name, value in values.items()]


def with_target(target: Any, **parts: Any) -> RemoteContext:
    return parse(body(MessageName="Update", InputParameters=pairs(Target=target), **parts))


# The published samples


def test_the_presence_message_of_microsofts_article() -> None:
    context = sample("agentstatus-update-async")
    assert (context.message, context.table) == ("Update", "msdyn_agentstatus")
    assert context.row_id == "00aa00aa-bb11-cc22-dd33-44ee44ee44ee"
    assert text(context.attributes["msdyn_agentid"]) == "97c90b02-4e38-ef11-a315-000d3a5a54dc"
    assert text(context.attributes["msdyn_currentpresenceid"]) == "efdeb843-c07a-e811-8162-000d3aa11f50"
    assert time(context.attributes["modifiedon"]) == datetime(2024, 8, 2, 7, 0, 39, tzinfo=UTC)
    assert text(context.attributes["modifiedonbehalfby"]) is None
    assert text(context.attributes["msdyn_availableunitscapacity"]) == "100"


def test_the_envelope_of_2018() -> None:
    context = sample("account-update-sync-2018-shape")
    assert (context.message, context.table) == ("Update", "account")
    assert context.row_id == "ec4e2f7d-9d60-e811-a95a-000d3af24950"
    assert context.attributes["telephone1"] == "1111"
    assert text(context.parameters["TargetReference"]) == "df010dad-f103-4589-ba66-76a5a04c2a11"


def test_every_type_of_column() -> None:
    context = sample("all-column-types-create-sync")
    assert (context.message, context.table) == ("Create", "shko_allfields")
    read = {name: text(value) for name, value in context.attributes.items()}
    assert read["shko_integer"] == "321"
    assert read["shko_currency"] == "100"
    assert read["shko_decimal"] == "10.12"
    assert read["shko_choice"] == "342490000"
    assert read["shko_string"] == "This is a String"
    assert read["ownerid"] == "c7877889-0f5f-ee11-8def-000d3adbef1f"
    assert read["shko_boolean"] is None
    assert read["shko_choices"] is None
    assert time(context.attributes["shko_datetime"]) == datetime(2023, 10, 17, 7, 0, tzinfo=UTC)


def test_the_date_trap_of_the_documentations_own_sample() -> None:
    context = sample("contact-update-async-utc-offset")
    raw = context.operation.split("/", 3)[3]
    assert raw == "/Date(1506409448000-0700)/"
    created, modified = time(raw), time(context.attributes["modifiedon"])
    assert created is not None
    assert modified is not None
    assert (created - modified).total_seconds() == 1


@pytest.mark.parametrize(
    "name",
    [
        "account-update-sync-2018-shape",
        "agentstatus-update-async",
        "all-column-types-create-sync",
        "contact-update-async-utc-offset",
    ],
)
def test_a_sample_reads_the_same_wrapped_marked_and_unescaped(name: str) -> None:
    context = sample(name)
    raw = (SAMPLES / f"{name}.json").read_bytes().removeprefix(b"\xef\xbb\xbf")
    assert parse(b"\xef\xbb\xbf" + raw) == context
    assert parse(json.dumps(raw.decode()).encode()) == context
    assert parse(raw.replace(rb"\/", b"/")) == context
    assert parse(b" \r\n" + raw + b"\n") == context


# The envelope


@pytest.mark.parametrize(
    ("keys", "number"),
    [
        (KEYS_OF_2017, 27),
        (KEYS_OF_2017 + LATER_KEYS, 29),
        (KEYS_OF_2017 + LATER_KEYS + RECENT_KEYS, 30),
        ([*KEYS_OF_2017, "Unknown"], 28),
    ],
)
def test_every_edition_of_the_envelope_is_taken(keys: list[str], number: int) -> None:
    parts = dict.fromkeys(keys) | {
        "MessageName": "ec_EmergencyCallDialled",
        "PrimaryEntityName": "none",
        "PrimaryEntityId": NOBODY,
        "OperationId": "op",
        "InputParameters": pairs(AgentId="a"),
    }
    assert len(parts) == number
    context = parse(body(**parts))
    assert (context.message, context.table, context.row_id) == ("ec_EmergencyCallDialled", "none", None)
    assert context.parameters == {"AgentId": "a"}
    assert context.attributes == {}


def test_what_is_missing_is_empty() -> None:
    assert parse(b"{}") == RemoteContext("", "", None, "///", {}, {})


@pytest.mark.parametrize("different", ["CorrelationId", "OperationId", "RequestId", "OperationCreatedOn"])
def test_operations_are_told_apart_by_each_of_their_ids(different: str) -> None:
    parts = {"CorrelationId": "c", "OperationId": "o", "RequestId": None, "OperationCreatedOn": "/Date(1)/"}
    first = parse(body(**parts)).operation
    assert parse(body(**parts, Depth=2)).operation == first, "a repeated delivery is the same operation"
    assert parse(body(**(parts | {different: "other"}))).operation != first


def test_parameters_are_looked_up_by_key_in_any_order() -> None:
    context = parse(
        body(InputParameters=[{"value": 2, "key": "B"}, {"__type": "x", "key": "A", "value": 1}, {"key": "C"}])
    )
    assert context.parameters == {"A": 1, "B": 2, "C": None}


def test_the_row_is_the_targets_where_the_context_names_none() -> None:
    assert with_target({"Id": ROW}, PrimaryEntityId=NOBODY).row_id == ROW
    assert with_target({"Id": ROW.upper()}).row_id == ROW
    assert with_target({"Id": "other"}, PrimaryEntityId=ROW.upper()).row_id == ROW


def test_a_wrapped_row_id_is_unwrapped() -> None:
    assert parse(body(PrimaryEntityId={"__type": "Guid:#System", "__value": ROW})).row_id == ROW


def test_a_deleted_rows_target_is_a_reference_without_attributes() -> None:
    context = with_target({"__type": f"EntityReference:{CONTRACTS}", "Id": ROW, "LogicalName": "contact"})
    assert (context.row_id, context.attributes) == (ROW, {})


def test_a_target_needs_no_type() -> None:
    assert with_target({"Id": ROW, "Attributes": pairs(firstname="James")}).attributes == {"firstname": "James"}


@pytest.mark.parametrize("target", [None, "x", 1, [], [{"Id": ROW}], {"Attributes": "x"}, {"Attributes": {"a": 1}}])
def test_an_odd_target_has_no_attributes(target: Any) -> None:
    assert with_target(target).attributes == {}


def test_a_stripped_context_still_names_its_row() -> None:
    context = parse(body(MessageName="Create", PrimaryEntityName="ec_emergencycall", PrimaryEntityId=ROW))
    assert (context.message, context.table, context.row_id) == ("Create", "ec_emergencycall", ROW)


# The bytes


def test_a_json_string_that_holds_json_is_read() -> None:
    inside = body(MessageName="Create", PrimaryEntityId=ROW)
    assert parse(json.dumps(inside.decode()).encode()) == parse(inside)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf" + body(MessageName="Create")).message == "Create"


def test_text_is_utf_8() -> None:
    context = parse('{"InputParameters": [{"key": "Location", "value": "Nyhavn 1, København"}]}'.encode())
    assert context.parameters["Location"] == "Nyhavn 1, København"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"{",
        b"\xff\xfe{}",
        b"\x80",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b'"[]"',
        b"NaN",
        b'"\\"{}\\""',
        b"1" * 5000,
        b"\x00",
        b"{} {}",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
    ],
)
def test_what_is_no_json_object_is_refused_without_quoting_it(raw: bytes) -> None:
    with pytest.raises(BadData, match=r"^the body is (not JSON|no JSON object)$"):
        parse(raw)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'{"PrimaryEntityId":{"Id":', b'"['])
def test_endless_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(BadData):
        parse(opening * 100_000)


@given(st.integers(1, 3000), st.sampled_from(["Id", "__value", "Value", "x"]))
@example(700, "Id")
@example(990, "Id")
def test_nesting_of_any_depth_is_read_or_refused(depth: int, key: str) -> None:
    nested = f'{{"{key}":' * depth + "1" + "}" * depth
    raw = f'{{"PrimaryEntityId": {nested}, "InputParameters": [{{"key": "A", "value": {nested}}}]}}'
    assert only_context_or_bad_data(raw.encode())


@given(st.integers(1, 20_000))
@example(20_000)
def test_text_of_any_depth_never_raises(depth: int) -> None:
    value: Any = "a"
    for _ in range(depth):
        value = {"Id": value}
    assert text(value) in ("a", None)


def only_context_or_bad_data(raw: bytes) -> bool:
    try:
        return isinstance(parse(raw), RemoteContext)
    except BadData:
        return True


@given(st.binary())
def test_no_bytes_raise_anything_but_bad_data(raw: bytes) -> None:
    assert only_context_or_bad_data(raw)


@given(JSON)
def test_no_json_raises_anything_but_bad_data(value: Any) -> None:
    assert only_context_or_bad_data(json.dumps(value).encode())


@given(NEARLY)
@example({"PrimaryEntityId": {"Id": "\ud800"}, "InputParameters": [{"key": "\ud800", "value": "\ud800"}]})
def test_every_object_is_a_context(value: dict[str, Any]) -> None:
    context = parse(json.dumps(value).encode())
    for part in (*context.parameters.values(), *context.attributes.values()):
        assert text(part) is None or isinstance(text(part), str)
        assert time(part) is None or isinstance(time(part), datetime)


# Values


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  a ", "a"),
        ("", None),
        ("   ", None),
        (None, None),
        (True, None),
        (False, None),
        (0, "0"),
        (911, "911"),
        (10.12, "10.12"),
        ({"__type": f"EntityReference:{CONTRACTS}", "Id": ROW, "Name": None}, ROW),
        ({"__type": f"OptionSetValue:{CONTRACTS}", "Value": 3}, "3"),
        ({"__type": f"Money:{CONTRACTS}", "Value": 100}, "100"),
        ({"__type": "Guid:#System", "__value": ROW}, ROW),
        ({"__type": "DateTime:#System", "__value": "/Date(0)/"}, "/Date(0)/"),
        ({"Id": {"__value": ROW}}, ROW),
        ({"Id": None}, None),
        ({"Name": "x"}, None),
        ({}, None),
        ([], None),
        ([{"Value": 1}], None),
    ],
)
def test_values_as_text(value: Any, expected: str | None) -> None:
    assert text(value) == expected


def test_a_whole_number_reads_the_same_with_and_without_a_point() -> None:
    assert text(911.0) == "911"


@pytest.mark.parametrize(
    ("raw", "milliseconds"),
    [
        # Webhooks.md 3.4: UTC is milliseconds plus offset, and so within a second of the row's modifiedon.
        ("/Date(1724647396000+0300)/", 1724658196000),
        ("/Date(1737024736000+0200)/", 1737031936000),
        ("/Date(1506409448000-0700)/", 1506384248000),
        ("/Date(1722582039000+0000)/", 1722582039000),
        ("/Date(1722582039000)/", 1722582039000),
        ("/Date(0)/", 0),
        ("/Date(-1000)/", -1000),
        ("/Date(1506409448000+0530)/", 1506409448000 + 19_800_000),
    ],
)
def test_dates_of_dataverse(raw: str, milliseconds: int) -> None:
    expected = datetime.fromtimestamp(milliseconds / 1000, UTC)
    for written in (raw, raw.replace("/", r"\/")):  # as JSON, both slashes are one
        (value,) = parse(f'{{"InputParameters": [{{"key": "At", "value": "{written}"}}]}}'.encode()).parameters.values()
        assert time(value) == expected
        assert time({"__type": "DateTime:#System", "__value": value}) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00:00",
        "2026-03-02T12:00:00+02:00",
        "2026-03-02T03:00:00.000-07:00",
        "2026-03-02 10:00:00",
    ],
)
def test_dates_of_iso_8601_are_brought_to_utc(raw: str) -> None:
    assert time(raw) == datetime(2026, 3, 2, 10, tzinfo=UTC)
    read = time(raw)
    assert read is not None
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "raw",
    [
        None,
        "",
        True,
        [],
        {},
        "soon",
        "02/03/2026",
        "/Date()/",
        "/Date(1",
        "Date(1)",
        "/Date(1+07)/",
        "2026-13-01",
        1.5,
        "/Date(99999999999999999)/",
        "/Date(-99999999999999999)/",
        "/Date(253402300799000+0100)/",
        "\ud800",
    ],
)
def test_what_is_no_date_is_none(raw: Any) -> None:
    assert time(raw) is None


@pytest.mark.parametrize("raw", ["0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-07:00"])
def test_a_date_beyond_the_calendar_is_none(raw: str) -> None:
    assert time(raw) is None


@given(
    st.datetimes(timezones=st.timezones()).map(datetime.isoformat) | st.from_regex(r"/Date\(-?\d{1,20}([+-]\d{4})?\)/")
)
def test_no_date_raises(raw: str) -> None:
    read = time(raw)
    assert read is None or read.utcoffset() is not None
