"""Reading: `$select`, `$filter`, `$orderby`, `$expand`, `$top`, `$count`, and pages with an opaque `$skiptoken`.

Page size by `odata.maxpagesize`, 5,000 at most and by default; `$skip` does not exist. [documented: page results]
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from connector.sandbox.dataverse.errors import bad_query
from connector.sandbox.dataverse.filters import compile_filter
from connector.sandbox.dataverse.messages import Request, Response, dumps, encoded_response
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.rows import Row, Rows, Values
from connector.sandbox.dataverse.schema import CHOICE_KINDS, Column, Table
from connector.sandbox.dataverse.tables import RECIPIENTS_COLUMN, TABLES

KNOWN_OPTIONS = frozenset(
    {"$select", "$filter", "$orderby", "$expand", "$top", "$count", "$skiptoken", "$deltatoken", "api-version"}
)
FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOGICAL_NAME = "Microsoft.Dynamics.CRM.lookuplogicalname"
# An outer bound on the memory that kept pages take; a page of 5,000 users is one to two million characters.
CACHE_CHARACTERS = 200_000_000


@dataclass(frozen=True)
class Shape:
    """What a row looks like in the answer: its columns, its expanded parts, its annotations."""

    table: Table
    columns: tuple[Column, ...]
    expand: tuple[tuple[str, Shape, Column | None], ...] = ()
    annotations: bool = False


class Reader:
    """Answers reads of entity sets and single rows."""

    def __init__(self, rows: Rows, options: DataverseOptions) -> None:
        self._rows = rows
        self._options = options
        self._pages: dict[tuple[object, ...], str] = {}
        self._kept = 0

    def shape(self, table: Table, request: Request) -> Shape:
        """The shape that `$select`, `$expand` and the wanted annotations ask for."""
        annotations = request.prefers("odata.include-annotations") in {"*", FORMATTED, LOGICAL_NAME}
        return self._shape(table, request.query.get("$select"), request.query.get("$expand"), annotations=annotations)

    def row(self, row: Row, shape: Shape) -> Values:
        """A row as it travels."""
        values = row.values
        out: Values = {"@odata.etag": row.etag}
        for column in shape.columns:
            value = row.version if column.name == "versionnumber" else values.get(column.wire)
            out[column.wire] = value
            if shape.annotations and value is not None:
                self._annotate(out, column, value)
        for nav, inner, link in shape.expand:
            out[nav] = self._expanded(values, inner, link, nav, shape.table)
        return out

    def one(self, table: Table, row: Row, request: Request) -> Response:
        """The answer to a read of one row; 304 where `If-None-Match` names its etag. [documented]"""
        if request.headers.get("if-none-match") == row.etag and "$expand" not in request.query:
            return Response(304)
        shape = self.shape(table, request)
        context = f"{request.root}/$metadata#{table.entity_set}/$entity"
        text = dumps({"@odata.context": context, **self.row(row, shape)})
        return encoded_response(text, headers={"ETag": row.etag})

    def page(self, table: Table, request: Request) -> Response:
        """One page of a collection."""
        check_options(request)
        shape = self.shape(table, request)
        position, number = read_skip_token(request.query.get("$skiptoken"))
        size, limited = self._page_size(request)
        found, following = self._found(table, request, position, size)
        names = tuple(column.wire for column in shape.columns)
        key = (table.name, self._rows.sets[table.name].changed, names, position, size)
        # Expanded and annotated pages depend on other tables as well.
        plain = not request.query.keys() & {"$filter", "$orderby"} and not shape.expand and not shape.annotations
        plain = plain and not self._hidden(request)
        text = self._text(found, shape, key if plain else None)
        head = f'{{"@odata.context":"{request.root}/$metadata#{table.entity_set}"'
        if request.query.get("$count") == "true":
            head += f',"@odata.count":{min(5000, self.count(table, request))}'
        link = None if limited else self._next_link(request, following, number)
        tail = f',"@odata.nextLink":{dumps(link)}' if link else ""
        return encoded_response(f'{head},"value":[{text}]{tail}}}', headers=preference_applied(request))

    def count(self, table: Table, request: Request) -> int:
        """How many rows meet the filter."""
        if "$filter" not in request.query:
            return len(self._rows.sets[table.name].by_id)
        return sum(1 for _ in self._filtered(table, request))

    def texts(self, rows: Iterable[Row], shape: Shape) -> str:
        """Rows as JSON text, separated by commas."""
        if shape.expand or shape.annotations:
            return ",".join(dumps(self.row(row, shape)) for row in rows)
        names = [column.wire for column in shape.columns if column.name != "versionnumber"]
        with_version = len(names) < len(shape.columns)
        out = []
        for row in rows:
            get = row.values.get
            values: Values = {"@odata.etag": f'W/"{row.version}"'}
            for name in names:
                values[name] = get(name)
            if with_version:
                values["versionnumber"] = row.version
            out.append(values)
        return dumps(out)[1:-1]

    def _text(self, rows: list[Row], shape: Shape, key: tuple[object, ...] | None) -> str:
        """A page's text, kept until the table changes: a benchmark then measures the client, not this server."""
        if key is None:
            return self.texts(rows, shape)
        if key not in self._pages:
            text = self.texts(rows, shape)
            self._kept += len(text)
            if self._kept > CACHE_CHARACTERS:
                self._pages.clear()
                self._kept = len(text)
            self._pages[key] = text
        return self._pages[key]

    def _found(self, table: Table, request: Request, start: int, size: int) -> tuple[list[Row], int | None]:
        """The rows of a page, and where the next page starts; None after the last."""
        if "$orderby" in request.query:
            ordered = self._ordered(table, request)
            return ordered[start : start + size], start + size if start + size < len(ordered) else None
        page: list[Row] = []
        for row in self._filtered(table, request, start):
            if len(page) == size:
                return page, row.position
            page.append(row)
        return page, None

    def _filtered(self, table: Table, request: Request, start: int = 0) -> Iterator[Row]:
        """The rows from a position on that the caller may see and that meet the filter, if there is one."""
        rows = self._rows.sets[table.name].scan(start)
        if hidden := self._hidden(request):
            rows = (row for row in rows if row.id not in hidden)
        if "$filter" not in request.query:
            return rows
        test = compile_filter(request.query["$filter"], self._visible(table), self._rows)
        return (row for row in rows if test(row.values))

    def _hidden(self, request: Request) -> frozenset[str]:
        """Rows that the caller may not see."""
        return frozenset() if request.caller.rights.organisation_read else self._options.other_units

    def _ordered(self, table: Table, request: Request) -> list[Row]:
        rows = list(self._filtered(table, request))
        for part in reversed(request.query["$orderby"].split(",")):
            name, _, direction = part.strip().partition(" ")
            column = self._visible(table).by_wire.get(name)
            if column is None or direction.strip() not in {"", "asc", "desc"}:
                raise bad_query(
                    f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'."
                )
            rows.sort(key=_order_key(column.wire), reverse=direction.strip() == "desc")
        return rows

    def _page_size(self, request: Request) -> tuple[int, bool]:
        """The page's size, and whether it ends the answer: `$top` counts only without maxpagesize. [documented]"""
        asked = request.prefers("odata.maxpagesize")
        if asked is not None:
            if not asked.isdigit() or int(asked) == 0:
                raise bad_query("The odata.maxpagesize preference must be a positive number.")
            return min(int(asked), self._options.page_size), False
        if (top := request.query.get("$top")) is not None:
            if not top.isdigit():
                raise bad_query(f"Invalid value '{top}' for $top query option found.")
            return min(int(top), self._options.page_size), True
        return self._options.page_size, False

    def _next_link(self, request: Request, following: int | None, number: int) -> str | None:
        if following is None:
            return None
        if self._options.repeat_next_link:
            following, number = read_skip_token(request.query.get("$skiptoken"))
            return link(request, **{"$skiptoken": skip_token(following, number)})
        return link(request, **{"$skiptoken": skip_token(following, number + 1)})

    def _shape(self, table: Table, select: str | None, expand: str | None, *, annotations: bool) -> Shape:
        table = self._visible(table)
        columns = tuple(table.by_wire.values())
        if select and select.strip() != "*":
            # The primary key comes with every row, selected or not, as the examples of the documentation show.
            names = dict.fromkeys([*(name.strip() for name in select.split(",")), table.primary_id])
            columns = tuple(self._column(table, name) for name in names)
        parts = tuple(self._expand(table, part, annotations=annotations) for part in _split(expand or "", ","))
        return Shape(table, columns, parts, annotations)

    def _column(self, table: Table, name: str) -> Column:
        """A selectable column: lookups answer to both of their names. [documented]"""
        column = table.by_wire.get(name) or table.by_name.get(name)
        if column is None or column.write_only:
            raise bad_query(f"Could not find a property named '{name}' on type 'Microsoft.Dynamics.CRM.{table.name}'.")
        return column

    def _expand(self, table: Table, part: str, *, annotations: bool) -> tuple[str, Shape, Column | None]:
        match = re.fullmatch(r"\s*(\w+)(?:\((.*)\))?\s*", part)
        nav = match[1] if match else part
        inner = dict(option.strip().partition("=")[::2] for option in _split((match and match[2]) or "", ";"))
        if nav in table.by_nav:
            other, column = TABLES[table.by_nav[nav].target], table.by_nav[nav]
        elif nav in table.collections:
            other, column = TABLES[table.collections[nav][0]], None
        else:
            raise bad_query(f"Could not find a property named '{nav}' on type 'Microsoft.Dynamics.CRM.{table.name}'.")
        shape = self._shape(other, inner.get("$select"), inner.get("$expand"), annotations=annotations)
        return nav, shape, column

    def _expanded(self, values: Values, shape: Shape, link_column: Column | None, nav: str, table: Table) -> object:
        if link_column is not None:
            target = self._rows.get(shape.table.name, values.get(link_column.wire) or "")
            return self.row(target, shape) if target else None
        wire = shape.table.by_name[table.collections[nav][1]].wire
        key = values[table.primary_id]
        return [self.row(row, shape) for row in self._rows.related(shape.table.name, wire, key)]

    def _annotate(self, out: Values, column: Column, value: Any) -> None:
        if column.kind in CHOICE_KINDS:
            out[f"{column.wire}@{FORMATTED}"] = column.options.get(value, str(value))
        elif column.kind == "Boolean":
            out[f"{column.wire}@{FORMATTED}"] = "Yes" if value else "No"
        elif column.kind == "Lookup":
            target = self._rows.get(column.target, value)
            if target:
                name = TABLES[column.target].primary_name
                out[f"{column.wire}@{FORMATTED}"] = target.values.get(name)
            out[f"{column.wire}@{LOGICAL_NAME}"] = column.target

    def _visible(self, table: Table) -> Table:
        """The table without the recipients column where the options say that it does not exist."""
        return visible(table, self._options)


def visible(table: Table, options: DataverseOptions) -> Table:
    """The table as this organisation has it: the recipients column is in no published reference and may be absent."""
    return table if options.recipients_column else _WITHOUT_RECIPIENTS.get(table.name, table)


_WITHOUT_RECIPIENTS = {
    table.name: Table(
        table.name,
        table.entity_set,
        table.primary_id,
        table.primary_name,
        tuple(column for column in table.columns if column.name != RECIPIENTS_COLUMN),
        table.privilege,
        table.tracked,
        table.keys,
        table.owned,
        table.collections,
    )
    for table in TABLES.values()
    if RECIPIENTS_COLUMN in table.by_name
}


def check_options(request: Request) -> None:
    """400 for query options that Dataverse does not know, `$skip` among them. [documented: no $skip]"""
    for name in request.query:
        if name.startswith("$") and name not in KNOWN_OPTIONS:
            raise bad_query(f"The query parameter {name} is not supported")


def preference_applied(request: Request) -> dict[str, str]:
    """The header that repeats an honoured page size."""
    asked = request.prefers("odata.maxpagesize")
    return {"Preference-Applied": f"odata.maxpagesize={asked}"} if asked else {}


def link(request: Request, **options: str) -> str:
    """The request's own address with some options replaced, absolute and encoded throughout."""
    query = {name: value for name, value in request.query.items() if name not in {"$skiptoken", "$deltatoken"}}
    pairs = {**query, **options}
    return f"{request.root}/{quote(request.path)}?" + "&".join(
        f"{name}={quote(value, safe='')}" for name, value in pairs.items()
    )


def skip_token(position: int, number: int) -> str:
    """A paging cookie; opaque to clients, and full of characters that must be kept encoded."""
    return f'<cookie pagenumber="{number}" pagingcookie="{position}" istracking="False" />'


def read_skip_token(token: str | None) -> tuple[int, int]:
    """Position and page number of a paging cookie; a 400 for one that we did not write."""
    if token is None:
        return 0, 1
    match = re.fullmatch(r'<cookie pagenumber="(\d+)" pagingcookie="(\d+)" istracking="False" />', token)
    if not match:
        raise bad_query("Malformed XML in the Paging Cookie")
    return int(match[2]), int(match[1])


def _order_key(wire: str) -> Any:
    def key(row: Row) -> tuple[bool, Any]:
        value = row.values.get(wire)
        return value is not None, value.casefold() if isinstance(value, str) else value

    return key


def _split(text: str, separator: str) -> list[str]:
    """Splits at separators outside brackets and quotes."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == "'"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == separator and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]
