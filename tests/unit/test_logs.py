"""The log cannot hold personal data, however carelessly a line is written."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector import logs
from connector.logs import FIELDS, QUIET, log, where

NUMBER = "+12025550147"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log is written during a test."""
    written = io.StringIO()
    logs.configure(level="debug", stream=written)
    yield written
    logs.configure(level="critical")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def only_line(stream: io.StringIO) -> dict[str, Any]:
    (line,) = lines(stream)
    assert isinstance(line, dict)
    return line


def test_a_line_is_one_json_object(stream: io.StringIO) -> None:
    log().info("announced", call_id="c-1", count=2)
    line = only_line(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "announced", "level": "info", "call_id": "c-1", "count": 2}


def test_a_line_break_in_a_value_does_not_break_the_line(stream: io.StringIO) -> None:
    log().info("x", problem='a\nb {"event": "forged"}')
    assert only_line(stream)["problem"] == 'a\nb {"event": "forged"}'


def test_a_field_that_is_not_allowed_is_dropped_and_the_drop_told(stream: io.StringIO) -> None:
    log().warning("dialled", location="1 Main Street", callback=NUMBER, call_id="c-1")
    line = only_line(stream)
    assert line["problem"] == "fields not allowed in a log: callback, location"
    assert line["call_id"] == "c-1"
    assert "Main Street" not in stream.getvalue()
    assert NUMBER not in stream.getvalue()


def test_a_drop_does_not_hide_the_problem_that_the_line_tells(stream: io.StringIO) -> None:
    log().error("effect_failed", problem="Dataverse refused", location="1 Main Street")
    assert "Dataverse refused" in stream.getvalue()
    assert "location" in only_line(stream)["problem"]


@pytest.mark.parametrize(
    "field", ["agent_id", "name", "number", "recipients", "dialled", "country", "subject", "exc_info"]
)
def test_no_field_for_personal_data_is_allowed(field: str) -> None:
    assert field not in FIELDS


def test_an_exceptions_text_is_not_written(stream: io.StringIO) -> None:
    try:
        int(NUMBER + "!")
    except ValueError:
        log().exception("unexpected")
        log().error("unexpected", exc_info=True, stack_info=True)
    assert NUMBER not in stream.getvalue()
    assert "exc_info" in lines(stream)[0]["problem"]


def test_bound_values_are_judged_too(stream: io.StringIO) -> None:
    log().bind(location="1 Main Street", call_id="c-1").info("x")
    assert "Main Street" not in stream.getvalue()
    assert only_line(stream)["call_id"] == "c-1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.from_regex(r"[a-z_]{1,12}", fullmatch=True) | st.sampled_from(sorted(FIELDS)), st.text()))
def test_only_allowed_fields_are_ever_written(stream: io.StringIO, fields: dict[str, str]) -> None:
    stream.seek(0)
    stream.truncate()
    fields.pop("event", None)
    log().info("x", **fields)
    line = only_line(stream)
    assert set(line) <= FIELDS
    dropped = fields.keys() - FIELDS
    assert all(name in line["problem"] for name in dropped)


@pytest.mark.parametrize(
    ("level", "written"), [("debug", 4), ("info", 3), ("warning", 2), ("ERROR", 1), ("critical", 0)]
)
def test_the_level_says_how_much_is_written(level: str, written: int, stream: io.StringIO) -> None:
    logs.configure(level=level, stream=stream)
    for write in (log().debug, log().info, log().warning, log().error):
        write("x")
    assert len(lines(stream)) == written


def test_lines_go_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="info")
    log().info("x")
    logs.configure(level="critical")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["event"] == "x"


@pytest.mark.parametrize("name", [*QUIET, "azure.core.pipeline.policies", "msal.application"])
def test_a_librarys_warning_passes_by_name_only(name: str, stream: io.StringIO) -> None:
    logging.getLogger(name).warning("POST /webhook?code=%s failed for %s", "secret", NUMBER)
    line = only_line(stream)
    assert (line["event"], line["source"]) == ("library_warning", name)
    assert line["where"].startswith("test_logs:")
    assert NUMBER not in stream.getvalue()
    assert "secret" not in stream.getvalue()


@pytest.mark.parametrize("name", [*QUIET, "azure.core.pipeline.policies", "uvicorn.access"])
def test_a_librarys_chatter_does_not_pass(name: str, stream: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger(name).info("GET %s", NUMBER)
    logging.getLogger(name).debug("GET %s", NUMBER)
    assert stream.getvalue() == ""


def test_a_librarys_warning_is_told_once_however_often_logs_are_set_up(stream: io.StringIO) -> None:
    logs.configure(level="info", stream=stream)
    logging.getLogger("azure").error("x")
    assert len(lines(stream)) == 1


@pytest.mark.parametrize("name", ["sqlalchemy.pool", "asyncio", "tenacity", "filelock", "a_library_of_tomorrow"])
def test_a_library_that_nobody_thought_of_leaks_nothing_either(name: str, stream: io.StringIO) -> None:
    logging.getLogger(name).error("failed for %s", NUMBER)
    line = only_line(stream)
    assert (line["event"], line["source"]) == ("library_warning", name)
    assert NUMBER not in stream.getvalue()


def test_where_names_the_line_that_raised_not_the_text() -> None:
    try:
        json.loads(NUMBER + "{")
    except ValueError as error:
        place = where(error)
    module, line = place.rsplit(":", 1)
    assert module == "json.decoder"
    assert line.isdigit()


def test_where_of_an_error_that_was_never_raised_is_unknown() -> None:
    assert where(ValueError("x")) == "unknown"
