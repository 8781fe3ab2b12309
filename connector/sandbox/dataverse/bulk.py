"""`CreateMultiple`, `UpdateMultiple`, `UpsertMultiple`: all rows or none, as for standard tables. [documented]"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from connector.sandbox.dataverse.errors import bad_payload, bad_query, unknown_resource
from connector.sandbox.dataverse.messages import Request, Response, json_response
from connector.sandbox.dataverse.rows import Transaction
from connector.sandbox.dataverse.schema import Table
from connector.sandbox.dataverse.writes import Writer


def run_bulk(action: str, table: Table, request: Request, writer: Writer, transaction: Transaction) -> Response:
    """Runs one of the three actions inside the caller's transaction."""
    targets = _targets(table, request)
    if action == "CreateMultiple":
        ids = [writer.create(table, target, request, transaction).id for target in targets]
        return json_response({"@odata.context": f"{request.root}/$metadata#{action}Response", "Ids": ids})
    if action == "UpdateMultiple":
        for target in targets:
            key = target.get(table.primary_id)
            if key is None:
                raise bad_payload(f"The target has no '{table.primary_id}'.")
            writer.update(table, writer.require(table, str(key)), target, request, transaction)
        return Response(204, headers={"OData-Version": "4.0"})
    if action == "UpsertMultiple":
        for target in targets:
            writer.put(table, _key(table, target), target, request, transaction)
        return Response(204, headers={"OData-Version": "4.0"})
    raise unknown_resource(f"Microsoft.Dynamics.CRM.{action}")


def _targets(table: Table, request: Request) -> list[Mapping[str, Any]]:
    targets = request.json().get("Targets")
    if not isinstance(targets, list) or not targets:
        raise bad_payload("The parameter 'Targets' is missing.")
    for target in targets:
        if target.get("@odata.type", "").lstrip("#") != f"Microsoft.Dynamics.CRM.{table.name}":
            raise bad_payload(f"Each target needs the @odata.type of '{table.name}'.")
    return targets


def _key(table: Table, target: Mapping[str, Any]) -> str:
    """The key segment of `@odata.id`, else the primary id. [observed in SDK source]"""
    reference = target.get("@odata.id")
    if reference is None:
        if table.primary_id not in target:
            raise bad_query("Each target needs an '@odata.id' or its primary id.")
        return str(target[table.primary_id])
    match = re.fullmatch(rf"(?:.*/)?{table.entity_set}\((.*)\)", str(reference))
    if not match:
        raise bad_query(f"The '@odata.id' '{reference}' cannot be read.")
    return match[1]
