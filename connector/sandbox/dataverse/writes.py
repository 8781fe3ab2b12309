"""Writing: create, update, upsert and delete of one row, with conditions, keys and case-sensitive binds.

A lookup is written as `<nav>@odata.bind`; a navigation name in the wrong case is a 400. [documented; third-party code]
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from connector.clock import Clock
from connector.sandbox.dataverse.errors import (
    WebApiError,
    bad_payload,
    bad_query,
    duplicate,
    not_found,
    unknown_resource,
    version_mismatch,
)
from connector.sandbox.dataverse.filters import iso
from connector.sandbox.dataverse.messages import Caller, Request
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.privileges import demand
from connector.sandbox.dataverse.query import visible
from connector.sandbox.dataverse.rows import Row, Rows, Transaction, Values
from connector.sandbox.dataverse.schema import CHOICE_KINDS, INTEGER_KINDS, STRING_KINDS, Column, Table
from connector.sandbox.dataverse.steps import Change, Steps
from connector.sandbox.dataverse.tables import ENTITY_SETS

_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Writer:
    """Changes rows inside a transaction and tells the steps; the caller commits by letting the transaction be."""

    def __init__(self, rows: Rows, steps: Steps, clock: Clock, options: DataverseOptions) -> None:
        self._rows = rows
        self._steps = steps
        self._clock = clock
        self._options = options

    def create(self, table: Table, content: Mapping[str, Any], request: Request, transaction: Transaction) -> Row:
        """Adds a row; the client may choose its id. A second row with a taken id or key is a 412."""
        demand(request.caller, "Create", table)
        sent = self._values(table, content)
        key = str(sent.get(table.primary_id) or uuid.uuid4()).lower()
        with self._rows.lock:
            if self._rows.get(table.name, key):
                raise duplicate("Cannot insert duplicate key.")
            self._check_keys(table, sent, sent, None)
            values = {
                **_defaults(table),
                **self._stamps(request.caller, table, new=True),
                **sent,
                table.primary_id: key,
            }
            row = transaction.insert(table.name, {name: value for name, value in values.items() if value is not None})
        self._steps.run(
            Change("Create", table, row.id, {**sent, table.primary_id: key}, dict(row.values), row.version),
            request,
            transaction,
        )
        return row

    def update(
        self, table: Table, row: Row, content: Mapping[str, Any], request: Request, transaction: Transaction
    ) -> Row:
        """Changes columns of a row, if `If-Match` allows it."""
        demand(request.caller, "Write", table)
        sent = self._values(table, content)
        sent.pop(table.primary_id, None)
        with self._rows.lock:
            _check_version(row, request)
            self._check_keys(table, sent, {**row.values, **sent}, row.id)
            _check_fixed(table, sent, row.values)
            stamps = self._stamps(request.caller, table, new=False)
            transaction.update(table.name, row.id, {**sent, **stamps})
        # The outer Target of an Update: what was sent, and the system columns. [recorded traffic]
        target = {**sent, **stamps, table.primary_id: row.id}
        self._steps.run(
            Change("Update", table, row.id, {**sent, table.primary_id: row.id}, target, row.version),
            request,
            transaction,
        )
        return row

    def delete(self, table: Table, row: Row, request: Request, transaction: Transaction) -> None:
        """Deletes a row, if `If-Match` allows it."""
        demand(request.caller, "Delete", table)
        with self._rows.lock:
            _check_version(row, request)
            transaction.delete(table.name, row.id)
        self._steps.run(Change("Delete", table, row.id, {}, {}, row.version), request, transaction)

    def upsert(self, table: Table, key: str, request: Request, transaction: Transaction) -> tuple[Row, bool]:
        """PATCH by id or alternate key: updates, or creates unless `If-Match: *` forbids it. [documented]"""
        return self.put(table, key, request.json(), request, transaction)

    def put(
        self, table: Table, key: str, content: Mapping[str, Any], request: Request, transaction: Transaction
    ) -> tuple[Row, bool]:
        """`upsert` with its content apart, for `UpsertMultiple`."""
        row, named = self.locate(table, key)
        if row is not None:
            if request.headers.get("if-none-match") == "*":
                raise duplicate()
            return self.update(table, row, content, request, transaction), False
        if request.headers.get("if-match"):
            raise not_found(table.name, key)
        return self.create(table, {**content, **named}, request, transaction), True

    def locate(self, table: Table, key: str) -> tuple[Row | None, Values]:
        """The row that a key segment names, and the columns that the segment gives."""
        if _GUID.fullmatch(key):
            return self._rows.get(table.name, key), {table.primary_id: key.lower()}
        named = _key_values(table, key)
        if set(named) == {table.primary_id}:
            return self._rows.get(table.name, str(named[table.primary_id])), named
        if tuple(sorted(named)) not in {tuple(sorted(key)) for key in table.keys}:
            raise bad_query(
                f"A single key or alternate key must be specified: '{','.join(named)}' is no key of '{table.name}'."
            )
        wires = {table.by_name[name].wire: value for name, value in named.items()}
        return self._rows.find(table.name, _has(wires)), named

    def require(self, table: Table, key: str) -> Row:
        """The row that a key segment names, or a 404."""
        row, _ = self.locate(table, key)
        if row is None:
            raise not_found(table.name, key)
        return row

    def bound(self, reference: object, column: Column) -> str:
        """The id that a bind points to; its set must fit the lookup and the row must exist."""
        match = re.search(r"(?:^|/)(\w+)\(([^()]*)\)$", str(reference))
        if not match:
            raise bad_payload(f"The bind '{reference}' of '{column.nav}' is not a resource path.")
        target = ENTITY_SETS.get(match[1])
        if target is None or target.name != column.target:
            raise unknown_resource(match[1])
        return self.require(target, match[2]).id

    def _values(self, table: Table, content: Mapping[str, Any]) -> Values:
        """A body in stored form; everything that the table does not know is refused."""
        visible_table = visible(table, self._options)
        values: Values = {}
        for name, value in content.items():
            nav, bind, _ = name.partition("@odata.bind")
            if bind:
                column = _bindable(visible_table, nav)
                values[column.wire] = None if value is None else self.bound(value, column)
            elif "@" not in name:
                column = _writable(visible_table, name)
                values[column.name] = _checked(column, value)
        if "authvalue" in values:
            values["isauthvalueset"] = bool(values["authvalue"])
        return values

    def _check_keys(self, table: Table, sent: Values, values: Values, own_id: str | None) -> None:
        """A 412 if what was sent would give two rows the same alternate key."""
        for names in table.keys:
            wires = [table.by_name[name].wire for name in names]
            wanted = [values.get(wire) for wire in wires]
            if None in wanted or not any(wire in sent for wire in wires):
                continue
            found = self._rows.find(table.name, _has(dict(zip(wires, wanted, strict=True))))
            if found is not None and found.id != own_id:
                raise duplicate()

    def _stamps(self, caller: Caller, table: Table, *, new: bool) -> Values:
        """The system columns; under impersonation the real actor is named beside. [documented]"""
        now = iso(self._clock.now())
        stamps: Values = {
            "modifiedon": now,
            "_modifiedby_value": caller.user_id,
            "_modifiedonbehalfby_value": caller.real_user_id,
        }
        if new:
            stamps |= {
                "createdon": now,
                "_createdby_value": caller.user_id,
                "_createdonbehalfby_value": caller.real_user_id,
            }
            if table.owned:
                stamps["_ownerid_value"] = caller.user_id
        return stamps


def _has(wanted: Values) -> Callable[[Values], bool]:
    return lambda values: all(values.get(name) == value for name, value in wanted.items())


def _check_fixed(table: Table, sent: Values, current: Values) -> None:
    """Some columns of custom APIs cannot be changed after saving. [documented: custom API tables]"""
    for column in table.columns:
        if column.fixed and column.wire in sent and sent[column.wire] != current.get(column.wire):
            raise bad_payload(f"The property '{column.name}' cannot be changed after the row has been created.")


def _check_version(row: Row, request: Request) -> None:
    wanted = request.headers.get("if-match")
    if wanted not in {None, "*", row.etag}:
        raise version_mismatch()


def _bindable(table: Table, nav: str) -> Column:
    column = table.by_nav.get(nav)
    if column is None:
        raise bad_payload(
            f"Microsoft.OData.ODataException: An undeclared property '{nav}' which only has property annotations in "
            "the payload but no property value was found in the payload. In OData, only declared navigation properties "
            "and declared named streams can be represented as properties without values."
        )
    return column


def _writable(table: Table, name: str) -> Column:
    column = table.by_name.get(name)
    if column is None or column.kind == "Lookup":
        raise bad_payload(f"Invalid property '{name}' was found in entity 'Microsoft.Dynamics.CRM.{table.name}'.")
    if column.read_only:
        raise bad_payload(f"The property '{name}' cannot be set.")
    return column


def _checked(column: Column, value: Any) -> Any:
    """A value that fits its column, or a 400."""
    kind = column.kind
    if value is None:
        return None
    if kind == "Boolean":
        fits = isinstance(value, bool)
    elif kind in INTEGER_KINDS:
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise bad_payload(f"Cannot convert the literal '{value}' to the expected type of '{column.name}'.")
    if kind in CHOICE_KINDS and value not in column.options:
        raise WebApiError(400, "0x80048408", f"The value {value} of '{column.name}' is outside the valid range.")
    if kind in STRING_KINDS and column.length and len(value) > column.length:
        raise WebApiError(
            400, "0x80044331", f"The length of the '{column.name}' attribute exceeds the maximum of '{column.length}'."
        )
    return value.lower() if kind == "Uniqueidentifier" else value


def _defaults(table: Table) -> Values:
    """A new row is active, where the table knows states."""
    values: Values = {}
    for name in ("statecode", "statuscode"):
        if name in table.by_name:
            values[name] = min(table.by_name[name].options)
    return values


def _key_values(table: Table, key: str) -> Values:
    """`name='value',other=1` as values; quotes are doubled inside texts."""
    values: Values = {}
    for name, quoted, plain in re.findall(r"(\w+)=(?:'((?:[^']|'')*)'|([^,']+))", key):
        column = table.by_name.get(name)
        if column is None:
            raise bad_query(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'.")
        value: Any = quoted.replace("''", "'") if quoted or not plain else plain
        if column.kind == "Uniqueidentifier":
            value = value.lower()
        values[name] = int(value) if column.kind in INTEGER_KINDS else value
    if not values:
        raise bad_query(f"The key '{key}' cannot be read.")
    return values
