"""Reads the body that a Dataverse webhook posts: a RemoteExecutionContext as JSON.

Shapes and traps are from captured bodies: collections are lists of key and value in no order, some objects carry
`__type` and some do not, dates are `/Date(ms)/` with or without an offset, unknown keys occur, and above 256 KB the
parameters and images are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.errors import BadData

_DATE = re.compile(r"/Date\((-?\d{1,17})([+-]\d{4})?\)/")
DEEPEST = 5
"""How deep a wrapped value may lie."""
NOBODY = "00000000-0000-0000-0000-000000000000"
"""The GUID that .NET sends where none was set."""


@dataclass(frozen=True)
class RemoteContext:
    """The parts that matter. `attributes` are those of the Target, which for an update are only the changed ones."""

    message: str
    table: str
    row_id: str | None
    operation: str
    """Tells this delivery's operation from others; the same in a repeated delivery of it."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


def parse(body: bytes) -> RemoteContext:
    """Reads a body. Raises BadData if it is no JSON object; missing parts are left empty."""
    try:
        # Always UTF-8, whatever the header says; with or without a byte-order mark.
        data = json.loads(body.decode("utf-8-sig"))
        if isinstance(data, str):  # a JSON string that holds JSON has been seen
            data = json.loads(data)
    except (ValueError, RecursionError):
        raise BadData("the body is not JSON") from None
    if not isinstance(data, dict):
        raise BadData("the body is no JSON object")
    parameters = _pairs(data.get("InputParameters"))
    target = parameters.get("Target")
    return RemoteContext(
        message=_string(data.get("MessageName")),
        table=_string(data.get("PrimaryEntityName")),
        row_id=_row_id(data, target),
        operation="/".join(
            _string(data.get(key)) for key in ("CorrelationId", "OperationId", "RequestId", "OperationCreatedOn")
        ),
        parameters=parameters,
        attributes=_pairs(target.get("Attributes")) if isinstance(target, dict) else {},
    )


def _row_id(data: Mapping[str, Any], target: Any) -> str | None:
    """The row's id, from the context or, where that has none, from its target."""
    for candidate in (data.get("PrimaryEntityId"), target.get("Id") if isinstance(target, dict) else None):
        row_id = text(candidate)
        if row_id and row_id != NOBODY:
            return row_id.lower()
    return None


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _pairs(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        return {}
    return {
        pair["key"]: pair.get("value") for pair in value if isinstance(pair, dict) and isinstance(pair.get("key"), str)
    }


def text(value: Any) -> str | None:
    """A parameter or column as text: plain, a lookup's id, a choice's number, or a wrapped scalar."""
    for _ in range(DEEPEST):
        if not isinstance(value, dict):
            break
        value = next((value[key] for key in ("Id", "__value", "Value") if key in value), None)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    return None


def time(value: Any) -> datetime | None:
    """A parameter or column as a time in UTC: `/Date(ms)/` or ISO 8601, None if it is neither."""
    raw = text(value)
    if raw is None:
        return None
    try:
        if match := _DATE.fullmatch(raw):
            return _from_date(int(match.group(1)), match.group(2))
        parsed = datetime.fromisoformat(raw)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _from_date(milliseconds: int, offset: str | None) -> datetime:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    if offset:
        # In captured bodies the true time is milliseconds plus offset, unlike .NET's reading.
        minutes = int(offset[1:3]) * 60 + int(offset[3:5])
        at += timedelta(minutes=minutes if offset[0] == "+" else -minutes)
    return at
