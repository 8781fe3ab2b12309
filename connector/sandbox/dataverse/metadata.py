"""Metadata: `EntityDefinitions`, choice columns, the column probe, and `$metadata` as CSDL."""

from __future__ import annotations

import re
import uuid
from typing import Any
from xml.sax.saxutils import quoteattr

from connector.sandbox.dataverse.errors import WebApiError, bad_query, not_implemented
from connector.sandbox.dataverse.messages import Request, Response, json_response
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.query import visible
from connector.sandbox.dataverse.schema import CHOICE_KINDS, Column, Table
from connector.sandbox.dataverse.tables import TABLES

_NAMESPACE = uuid.UUID("6f1f2d57-0b0f-4c2a-9d5c-2f0f8d6a9111")
_KINDS = "Picklist|State|Status"
_EDM = {
    "Boolean": "Edm.Boolean", "DateTime": "Edm.DateTimeOffset", "Integer": "Edm.Int32", "BigInt": "Edm.Int64",
    "Picklist": "Edm.Int32", "State": "Edm.Int32", "Status": "Edm.Int32", "Uniqueidentifier": "Edm.Guid",
    "Lookup": "Edm.Guid",
}  # fmt: skip


def answer_metadata(request: Request, options: DataverseOptions) -> Response:
    """Answers every address below `EntityDefinitions`."""
    path = request.path
    if path == "EntityDefinitions":
        return json_response({"@odata.context": _context(request), "value": _listed(request, options)})
    match = re.fullmatch(r"EntityDefinitions\((?:LogicalName=)?'?([\w-]+)'?\)(?:/(.*))?", path)
    table = _table(match[1], options) if match else None
    if match is None or table is None:
        raise _no_metadata(match[1] if match else path)
    rest = match[2]
    if not rest:
        return json_response({"@odata.context": _context(request), **_selected(request, _definition(table))})
    return _attributes(table, rest, request)


def csdl(options: DataverseOptions) -> Response:
    """The `$metadata` document, as far as clients read it here: types, keys, properties and sets."""
    types = "".join(_entity_type(visible(table, options)) for table in TABLES.values())
    sets = "".join(
        f"<EntitySet Name={quoteattr(table.entity_set)} EntityType={quoteattr('mscrm.' + table.name)} />"
        for table in TABLES.values()
    )
    text = (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
        '<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f'{types}<EntityContainer Name="System">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
    )
    return Response(200, text.encode(), {"Content-Type": "application/xml", "OData-Version": "4.0"})


def _entity_type(table: Table) -> str:
    properties = "".join(
        f"<Property Name={quoteattr(column.wire)} Type={quoteattr(_EDM.get(column.kind, 'Edm.String'))} />"
        for column in table.by_wire.values()
    )
    navigation = "".join(
        f"<NavigationProperty Name={quoteattr(nav)} Type={quoteattr('mscrm.' + column.target)} />"
        for nav, column in table.by_nav.items()
    )
    key = f"<Key><PropertyRef Name={quoteattr(table.primary_id)} /></Key>"
    return f"<EntityType Name={quoteattr(table.name)}>{key}{properties}{navigation}</EntityType>"


def _listed(request: Request, options: DataverseOptions) -> list[dict[str, Any]]:
    tables = [visible(table, options) for table in TABLES.values()]
    wanted = request.query.get("$filter")
    if wanted is not None:
        tables = [table for table in tables if _matches(table, wanted, options)]
    expand = request.query.get("$expand", "")
    return [
        _selected(request, _definition(table, attributes="Attributes" in expand, options=options)) for table in tables
    ]


def _matches(table: Table, wanted: str, options: DataverseOptions) -> bool:
    if match := re.fullmatch(r"(LogicalName|EntitySetName|SchemaName) eq '([^']*)'", wanted.strip()):
        return bool(_definition(table)[match[1]].lower() == match[2].lower())
    if match := re.fullmatch(r"ChangeTrackingEnabled eq (true|false)", wanted.strip()):
        return bool(_definition(table, options=options)["ChangeTrackingEnabled"]) == (match[1] == "true")
    raise bad_query(f"The metadata filter '{wanted}' is not supported.")


def _definition(table: Table, *, attributes: bool = False, options: DataverseOptions | None = None) -> dict[str, Any]:
    tracked = table.tracked and not (options and table.name in options.untracked_tables)
    definition: dict[str, Any] = {
        "MetadataId": _id(table.name),
        "LogicalName": table.name,
        "SchemaName": table.name,
        "EntitySetName": table.entity_set,
        "PrimaryIdAttribute": table.primary_id,
        "PrimaryNameAttribute": table.primary_name,
        "ChangeTrackingEnabled": tracked,
        "CanChangeTrackingBeEnabled": {"Value": True, "CanBeChanged": True},
    }
    if attributes:
        definition["Attributes"] = [_attribute(table, column) for column in table.columns]
    return definition


def _selected(request: Request, definition: dict[str, Any]) -> dict[str, Any]:
    """The chosen properties; `MetadataId` is always there."""
    select = request.query.get("$select")
    if not select:
        return definition
    names = {name.strip() for name in select.split(",")}
    if unknown := names - definition.keys():
        raise bad_query(f"Could not find a property named '{min(unknown)}' on type 'EntityMetadata'.")
    return {name: value for name, value in definition.items() if name in names | {"MetadataId", "Attributes"}}


def _attributes(table: Table, rest: str, request: Request) -> Response:
    context = _context(request)
    if rest == "Attributes":
        return json_response({"@odata.context": context, "value": [_attribute(table, c) for c in table.columns]})
    if match := re.fullmatch(rf"Attributes/Microsoft\.Dynamics\.CRM\.({_KINDS})AttributeMetadata", rest):
        # Never a 404 here: the official client would retry five times. [observed in SDK source]
        chosen = [column for column in table.columns if column.kind == match[1]]
        return json_response({"@odata.context": context, "value": [_choice(table, column) for column in chosen]})
    match = re.fullmatch(r"Attributes\(LogicalName='([\w-]+)'\)(?:/[\w.]+)?", rest)
    if match is None:
        raise not_implemented(f"the metadata address '{rest}'")
    column = table.by_name.get(match[1])
    if column is None:
        raise _no_metadata(match[1])
    body = _choice(table, column) if column.kind in CHOICE_KINDS else _attribute(table, column)
    return json_response({"@odata.context": context, **body})


def _attribute(table: Table, column: Column) -> dict[str, Any]:
    return {
        "@odata.type": f"#Microsoft.Dynamics.CRM.{column.kind}AttributeMetadata",
        "MetadataId": _id(f"{table.name}.{column.name}"),
        "LogicalName": column.name,
        "SchemaName": column.nav or column.name,
        "AttributeType": column.kind,
        "MaxLength": column.length,
        "IsPrimaryId": column.name == table.primary_id,
        "IsPrimaryName": column.name == table.primary_name,
    }


def _choice(table: Table, column: Column) -> dict[str, Any]:
    options = [
        {"Value": value, "Label": {"LocalizedLabels": [{"Label": label, "LanguageCode": 1033}]}}
        for value, label in column.options.items()
    ]
    return {**_attribute(table, column), "OptionSet": {"Options": options}}


def _table(name: str, options: DataverseOptions) -> Table | None:
    by_id = {_id(table.name): table for table in TABLES.values()}
    table = TABLES.get(name) or by_id.get(name)
    return visible(table, options) if table else None


def _no_metadata(name: str) -> WebApiError:
    return WebApiError(404, "0x80060888", f"Could not find the metadata of '{name}'.")


def _context(request: Request) -> str:
    return f"{request.root}/$metadata#EntityDefinitions"


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name))
