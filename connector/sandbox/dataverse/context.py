"""`RemoteExecutionContext`, the JSON that a webhook receives, in the shapes of the recorded samples.

Collections are lists of `{"key", "value"}`; `__type` is the first key where it exists, and images, `OwningExtension`
and nothing else go without. Synchronous and asynchronous steps differ in the ways noted below. [recorded traffic]
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from connector.sandbox.dataverse.messages import Caller
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.rows import Values
from connector.sandbox.dataverse.schema import CHOICE_KINDS, Column, Table

_CONTRACTS = "http://schemas.microsoft.com/xrm/2011/Contracts"
_OBJECT_MODEL = "63cdbb1b-ea3e-db11-86a7-000a3a5473e8"
# Properties that go when the payload is too large. [documented]
REMOVED_WHEN_LARGE = ("ParentContext", "InputParameters", "PreEntityImages", "PostEntityImages")
_DATE = re.compile(r'"/Date\((-?\d+(?:[+-]\d{4})?)\)/"')


@dataclass(frozen=True)
class Change:
    """What happened: a message, on a row or (for a Global custom API) on none.

    `sent` holds only what the caller sent, `target` the system columns as well: the inner and the outer Target.
    """

    message: str
    table: Table | None
    row_id: str
    sent: Values
    target: Values
    version: int = 0
    parameters: Values = field(default_factory=dict)
    name: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What surrounds a change: who, when, in which organisation, under which ids."""

    organisation_id: str
    organisation_name: str
    business_unit_id: str
    caller: Caller
    now: datetime
    correlation_id: str
    request_id: str


def build_context(
    change: Change, step: Mapping[str, Any], around: Surroundings, options: DataverseOptions, operation_id: str
) -> dict[str, Any]:
    """The context that a step sends for a change."""
    synchronous = step["mode"] == 0
    outer = _envelope(change, change.target, around, options, operation_id, step)
    inner = _envelope(change, change.sent, around, options, operation_id, step)
    inner["Stage"] = 30
    if synchronous:
        # In synchronous contexts the parent belongs to the platform's own step.
        inner["OwningExtension"] = _extension(_OBJECT_MODEL, "ObjectModel Implementation")
        if change.table:
            inner["SharedVariables"].append(_changed_types(change.table.name, change.message))
    elif change.table:
        outer["PostEntityImages"] = [_pair("AsynchronousStepPrimaryName", _image(change, change.table))]
    outer["ParentContext"] = inner
    return outer


def write_context(context: Mapping[str, Any], escaped: str) -> bytes:
    """The context as bytes, slashes escaped as the options say."""
    text = json.dumps(context, ensure_ascii=False)
    if escaped == "all":
        text = text.replace("/", "\\/")
    elif escaped == "dates":
        text = _DATE.sub(r'"\\/Date(\1)\\/"', text)
    return text.encode()


def _envelope(
    change: Change,
    target: Values,
    around: Surroundings,
    options: DataverseOptions,
    operation_id: str,
    step: Mapping[str, Any],
) -> dict[str, Any]:
    synchronous, caller = step["mode"] == 0, around.caller
    table_name = change.table.name if change.table else options.global_api_table
    content: dict[str, Any] = {
        "BusinessUnitId": around.business_unit_id,
        "CorrelationId": around.correlation_id,
        "Depth": 1,
        "InitiatingUserAgent": caller.agent,
        "InitiatingUserAzureActiveDirectoryObjectId": caller.object_id,
        "InitiatingUserId": caller.real_user_id or caller.user_id,
        "InputParameters": _input(change, target),
        "IsExecutingOffline": False,
        "IsInTransaction": synchronous,
        "IsOfflinePlayback": False,
        "IsolationMode": 1,
        "MessageName": change.message,
        "Mode": step["mode"],
        "OperationCreatedOn": _operation_time(around.now, options, synchronous=synchronous),
        "OperationId": operation_id,
        "OrganizationId": around.organisation_id,
        "OrganizationName": around.organisation_name,
        "OutputParameters": [_pair("id", change.row_id)] if change.message == "Create" else [],
        "OwningExtension": _extension(step["sdkmessageprocessingstepid"], step.get("name") if synchronous else None),
        "ParentContext": None,
        "PostEntityImages": [],
        "PreEntityImages": [],
        "PrimaryEntityId": change.row_id if change.table else options.global_api_id,
        "PrimaryEntityName": table_name,
        "RequestId": around.request_id,
        "SecondaryEntityName": "none",
        "SharedVariables": [_pair("IsAutoTransact", value=True), _pair("AcceptLang", "")],
        "Stage": step["stage"],
        "UserAzureActiveDirectoryObjectId": caller.object_id,
        "UserId": caller.user_id,
    }
    for name in _absent(options.envelope_keys):
        del content[name]
    return content


def _absent(keys: int) -> tuple[str, ...]:
    """The optional keys that an envelope of so many keys lacks."""
    optional = (
        "InitiatingUserAgent",
        "InitiatingUserAzureActiveDirectoryObjectId",
        "UserAzureActiveDirectoryObjectId",
    )
    return optional[:1] if keys == 29 else optional if keys < 29 else ()


def _operation_time(now: datetime, options: DataverseOptions, *, synchronous: bool) -> str:
    """Milliseconds without an offset when synchronous; else whole seconds with one, where UTC = ms + offset."""
    milliseconds = int(now.timestamp() * 1000)
    if synchronous:
        return f"/Date({milliseconds})/"
    minutes = options.asynchronous_offset_minutes
    shown = milliseconds // 1000 * 1000 - int(timedelta(minutes=minutes).total_seconds() * 1000)
    hours, rest = divmod(abs(minutes), 60)
    return f"/Date({shown}{'-' if minutes < 0 else '+'}{hours:02d}{rest:02d})/"


def _input(change: Change, target: Values) -> list[dict[str, Any]]:
    if change.table is None:
        return [_pair(name, value) for name, value in change.parameters.items()]
    if change.message == "Delete":
        return [_pair("Target", _reference(change.table.name, change.row_id))]
    return [_pair("Target", {"__type": f"Entity:{_CONTRACTS}", **_entity(change, change.table, target)})]


def _entity(change: Change, table: Table, values: Values, version: str | None = "") -> dict[str, Any]:
    by_wire = {column.wire: column for column in table.columns}
    attributes = [_pair(by_wire[wire].name, _attribute(by_wire[wire], value)) for wire, value in values.items()]
    row_version = str(change.version) if change.message == "Update" and version is not None else None
    return {
        "Attributes": attributes,
        "EntityState": None,
        "FormattedValues": [],
        "Id": change.row_id,
        "KeyAttributes": [],
        "LogicalName": table.name,
        "RelatedEntities": [],
        "RowVersion": row_version,
    }


def _image(change: Change, table: Table) -> dict[str, Any]:
    """The image that asynchronous contexts carry: the row's name, if it has one, and its id; without `__type`."""
    named = {table.primary_name: change.name} if change.name else {}
    return _entity(change, table, {**named, table.primary_id: change.row_id}, version=None)


def _attribute(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.kind == "Lookup":
        return _reference(column.target, value)
    if column.kind in CHOICE_KINDS:
        return {"__type": f"OptionSetValue:{_CONTRACTS}", "Value": value}
    if column.kind == "DateTime":
        # Column dates have whole-second precision and no offset. [recorded traffic]
        return f"/Date({int(datetime.fromisoformat(value).timestamp()) * 1000})/"
    return value


def _reference(table: str, row_id: str) -> dict[str, Any]:
    return {"__type": f"EntityReference:{_CONTRACTS}", **_bare_reference(table, row_id, None)}


def _bare_reference(table: str, row_id: str, name: str | None) -> dict[str, Any]:
    return {"Id": row_id, "KeyAttributes": [], "LogicalName": table, "Name": name, "RowVersion": None}


def _extension(step_id: str, name: str | None) -> dict[str, Any]:
    return _bare_reference("sdkmessageprocessingstep", step_id, name)


def _changed_types(table: str, message: str) -> dict[str, Any]:
    pair = {"__type": "KeyValuePairOfstringstring:#System.Collections.Generic", "key": table, "value": message}
    return _pair("ChangedEntityTypes", [pair])


def _pair(key: str, value: Any) -> dict[str, Any]:
    return {"key": key, "value": value}
