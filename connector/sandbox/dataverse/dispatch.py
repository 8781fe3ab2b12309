"""Finds what a request addresses, and answers it. A part of a `$batch` takes the same way."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote, urlsplit

from connector.sandbox.dataverse.actions import Actions
from connector.sandbox.dataverse.batch import Part, run_batch
from connector.sandbox.dataverse.bulk import run_bulk
from connector.sandbox.dataverse.changes import Changes
from connector.sandbox.dataverse.errors import WebApiError, not_implemented, unknown_resource
from connector.sandbox.dataverse.messages import Request, Response, encoded_response, json_response, parse_query
from connector.sandbox.dataverse.metadata import answer_metadata, csdl
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.privileges import demand
from connector.sandbox.dataverse.query import Reader
from connector.sandbox.dataverse.rows import Row, Rows, Transaction
from connector.sandbox.dataverse.schema import Table
from connector.sandbox.dataverse.tables import ENTITY_SETS, TABLES
from connector.sandbox.dataverse.writes import Writer

API_ROOT = re.compile(r"(?:https?://[^/]+)?(/api/data/v9\.\d)(?:/([^?]*))?(?:\?(.*))?$")
_CREATED = {"OData-Version": "4.0"}


class Dispatcher:
    """The Web API below its root."""

    def __init__(
        self, rows: Rows, reader: Reader, changes: Changes, writer: Writer, actions: Actions, options: DataverseOptions
    ) -> None:
        self._rows = rows
        self._reader = reader
        self._changes = changes
        self._writer = writer
        self._actions = actions
        self._options = options

    def answer(self, request: Request) -> Response:
        """Answers a request in a transaction of its own, or a batch in several."""
        if request.path == "$batch" and request.method == "POST":
            return run_batch(request, lambda part, transaction: self._part(part, request, transaction), self._begin)
        transaction = self._begin()
        try:
            response = self.handle(request, transaction)
        except WebApiError:
            transaction.roll_back()
            raise
        transaction.commit()
        return response

    def handle(self, request: Request, transaction: Transaction) -> Response:
        """Answers a request inside a transaction."""
        path = request.path
        if path == "":
            sets = [{"name": name, "kind": "EntitySet", "url": name} for name in ENTITY_SETS]
            return json_response({"@odata.context": f"{request.root}/$metadata", "value": sets})
        if path == "$metadata":
            return csdl(self._options)
        if path.startswith("EntityDefinitions"):
            if request.method != "GET":
                raise not_implemented("changes of metadata")
            return answer_metadata(request, self._options)
        match = re.fullmatch(r"(\w+)(?:\((.*?)\))?(?:/(.+))?", path)
        table = ENTITY_SETS.get(match[1]) if match else None
        if match is None or table is None:
            operation = self._actions.find(request.method, path)
            if operation is None:
                raise _absent(path)
            return operation(request, transaction)
        key, rest = match[2], match[3]
        if rest:
            return self._below(table, key, rest, request, transaction)
        if key is None:
            return self._collection(table, request, transaction)
        return self._single(table, key, request, transaction)

    def _collection(self, table: Table, request: Request, transaction: Transaction) -> Response:
        if request.method == "GET":
            demand(request.caller, "Read", table)
            if "sql" in request.query:
                raise not_implemented("SQL queries")
            page = self._changes if self._changes.wanted(request) else self._reader
            return page.page(table, request)
        if request.method == "POST":
            return self._create(table, request, transaction)
        raise _method(request)

    def _create(self, table: Table, request: Request, transaction: Transaction) -> Response:
        if table.name == "email":
            row = self._actions.create_email(request, transaction)
        else:
            row = self._writer.create(table, request.json(), request, transaction)
        self._actions.created(table.name, row, transaction)
        return self._written(table, row, request, created=True)

    def _single(self, table: Table, key: str, request: Request, transaction: Transaction) -> Response:
        if request.method == "GET":
            demand(request.caller, "Read", table)
            return self._reader.one(table, self._writer.require(table, key), request)
        if request.method == "PATCH":
            row, created = self._writer.upsert(table, key, request, transaction)
            if created:
                self._actions.created(table.name, row, transaction)
            return self._written(table, row, request, created=created)
        if request.method == "DELETE":
            row = self._writer.require(table, key)
            self._actions.deleted(table.name, row.id, transaction)
            self._writer.delete(table, row, request, transaction)
            return Response(204, headers=dict(_CREATED))
        raise _method(request)

    def _written(self, table: Table, row: Row, request: Request, *, created: bool) -> Response:
        """204 with the row's address, or the row itself where that is preferred. [documented]"""
        address = f"{request.root}/{table.entity_set}({row.id})"
        if request.prefers("return") == "representation":
            response = self._reader.one(table, row, request)
            response.status = 201 if created else 200
            response.headers["Preference-Applied"] = "return=representation"
        else:
            response = Response(204, headers=dict(_CREATED))
        response.headers["OData-EntityId"] = address
        if created:
            response.headers["Location"] = address
        return response

    def _below(self, table: Table, key: str | None, rest: str, request: Request, transaction: Transaction) -> Response:
        """What follows a set or a row: `$count`, a bulk action, `SendEmail`, or a collection of the row's own."""
        if rest == "$count" and key is None and request.method == "GET":
            demand(request.caller, "Read", table)
            tracked = "$deltatoken" in request.query
            count = (self._changes if tracked else self._reader).count(table, request)
            return Response(200, str(count).encode(), {"Content-Type": "text/plain", "OData-Version": "4.0"})
        name = rest.removeprefix("Microsoft.Dynamics.CRM.")
        if key is None and name != rest and request.method == "POST":
            return run_bulk(name, table, request, self._writer, transaction)
        if key is not None and table.name == "email" and name == "SendEmail" and request.method == "POST":
            return self._actions.send_email(key, request, transaction)
        if key is not None and rest in table.collections and request.method == "GET":
            return self._related(table, self._writer.require(table, key), rest, request)
        raise _absent(rest)

    def _related(self, table: Table, row: Row, nav: str, request: Request) -> Response:
        other, link = table.collections[nav]
        target = TABLES[other]
        demand(request.caller, "Read", target)
        shape, wire = self._reader.shape(target, request), target.by_name[link].wire
        rows = self._rows.related(other, wire, row.id)
        context = f"{request.root}/$metadata#{target.entity_set}"
        return encoded_response(f'{{"@odata.context":"{context}","value":[{self._reader.texts(rows, shape)}]}}')

    def _part(self, part: Part, batch: Request, transaction: Transaction) -> Response:
        match = API_ROOT.match(part.target)
        if match is None:
            # Relative to the address of the batch itself.
            split = urlsplit(part.target)
            path, query = split.path.lstrip("/"), split.query
        else:
            path, query = match[2] or "", match[3] or ""
        headers = {**{n: v for n, v in batch.headers.items() if n not in _NOT_INHERITED}, **part.headers}
        request = replace(
            batch, method=part.method, path=unquote(path), query=parse_query(query), headers=headers, body=part.body
        )
        return self.handle(request, transaction)

    def _begin(self) -> Transaction:
        return Transaction(self._rows)


# A part does not take over the preferences and conditions of its batch.
_NOT_INHERITED = frozenset({"prefer", "if-match", "if-none-match", "content-type", "content-length"})


def _absent(path: str) -> WebApiError:
    if re.match(r"(BulkDelete|RetrieveMetadataChanges|RelationshipDefinitions|CreateEntities)\b", path):
        return not_implemented(path.partition("(")[0])
    return unknown_resource(path)


def _method(request: Request) -> WebApiError:
    return WebApiError(405, "0x80060888", f"The http method '{request.method}' is not supported here.")
