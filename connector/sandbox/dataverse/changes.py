"""Change tracking: ordinary pages that end in a delta link, then changed rows followed by deletions.

`$filter`, `$orderby`, `$expand` and `$top` are refused, organisation-level read is required, and a token dies after
`expirechangetrackingindays`. What the service answers to a dead one is not confirmed: status and code are options.
[documented: use change tracking]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from connector.clock import Clock
from connector.sandbox.dataverse.errors import WebApiError, bad_query, forbidden
from connector.sandbox.dataverse.messages import Request, Response, dumps, encoded_response
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.query import Reader, check_options, link, preference_applied
from connector.sandbox.dataverse.rows import Row, Rows, RowSet
from connector.sandbox.dataverse.schema import Table

REFUSED = ("filter", "orderby", "expand", "top")
_ISSUED = "%m/%d/%Y %H:%M:%S"


@dataclass(frozen=True)
class Cursor:
    """Where a tracked read stands: changes after `since` up to `until`, continued at `position`."""

    since: int
    until: int
    issued: str
    position: int = 0
    number: int = 1

    def skip_token(self) -> str:
        """The cursor as a paging cookie."""
        place = f"{self.since}!{self.until}!{self.issued}!{self.position}"
        return f'<cookie pagenumber="{self.number}" pagingcookie="{place}" istracking="True" />'


class Changes:
    """Answers tracked reads."""

    def __init__(self, rows: Rows, reader: Reader, clock: Clock, options: DataverseOptions) -> None:
        self._rows = rows
        self._reader = reader
        self._clock = clock
        self._options = options

    def wanted(self, request: Request) -> bool:
        """Whether the request starts, continues or polls a tracked read."""
        return (
            request.prefers("odata.track-changes") is not None
            or "$deltatoken" in request.query
            or 'istracking="True"' in request.query.get("$skiptoken", "")
        )

    def page(self, table: Table, request: Request) -> Response:
        """A page of a first read, or of what has changed since a token."""
        self._check(table, request)
        shape = self._reader.shape(table, request)
        size = self._size(request)
        cursor = self._cursor(request)
        row_set = self._rows.sets[table.name]
        page = _page(row_set, cursor, size)
        parts = [self._reader.texts(page.rows, shape)] if page.rows else []
        context = f"{request.root}/$metadata#{table.entity_set}/$deletedEntity"
        parts += [dumps({"@odata.context": context, "id": key, "reason": "deleted"}) for key in page.deleted]
        suffix = "/$delta" if cursor.since else ""
        head = f'{{"@odata.context":"{request.root}/$metadata#{table.entity_set}{suffix}"'
        tail = dumps(self._link(request, cursor, page.following))
        name = "@odata.deltaLink" if page.following is None else "@odata.nextLink"
        headers = {"Preference-Applied": "odata.track-changes", **preference_applied(request)}
        return encoded_response(f'{head},"{name}":{tail},"value":[{",".join(parts)}]}}', headers=headers)

    def count(self, table: Table, request: Request) -> int:
        """The size of a change set: `/$count?$deltatoken=…`. [documented]"""
        self._check(table, request)
        row_set, cursor = self._rows.sets[table.name], self._cursor(request)
        changed = sum(1 for row in row_set.scan() if cursor.since < row.version <= cursor.until)
        return changed + len(_deletions(row_set, cursor))

    def _check(self, table: Table, request: Request) -> None:
        check_options(request)
        for option in REFUSED:
            if f"${option}" in request.query:
                raise bad_query(f'The "{option}" query parameter isn\'t supported when Change Tracking is enabled.')
        if not request.caller.rights.organisation_read:
            raise forbidden(f"prvRead{table.privilege} at organization level", table.name)
        if not table.tracked or table.name in self._options.untracked_tables:
            raise WebApiError(400, "0x80044355", f"Change tracking is not enabled for entity '{table.name}'.")

    def _size(self, request: Request) -> int:
        asked = request.prefers("odata.maxpagesize") or ""
        return min(int(asked), self._options.page_size) if asked.isdigit() and int(asked) else self._options.page_size

    def _cursor(self, request: Request) -> Cursor:
        if "$skiptoken" in request.query:
            return _read_skip_token(request.query["$skiptoken"])
        issued = self._clock.now().astimezone(UTC).strftime(_ISSUED)
        if "$deltatoken" not in request.query:
            return Cursor(0, self._rows.version, issued)
        return Cursor(self._since(request.query["$deltatoken"]), self._rows.version, issued)

    def _since(self, token: str) -> int:
        match = re.fullmatch(r"(\d+)!(\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)", token)
        if not match or int(match[1]) > self._rows.version:
            raise bad_query("The delta token is not valid.")
        issued = datetime.strptime(match[2], _ISSUED).replace(tzinfo=UTC)
        if self._clock.now() - issued > timedelta(days=self._life_days()):
            code = self._options.expired_token_code
            raise WebApiError(self._options.expired_token_status, code, "The delta token has expired.")
        return int(match[1])

    def _life_days(self) -> int:
        organisation = next(self._rows.all("organization"))
        return int(organisation.get("expirechangetrackingindays", 7))

    def _link(self, request: Request, cursor: Cursor, following: int | None) -> str:
        if following is None:
            return link(request, **{"$deltatoken": f"{cursor.until}!{cursor.issued}"})
        number = cursor.number + 1
        if self._options.repeat_next_link:
            following, number = cursor.position, cursor.number
        token = Cursor(cursor.since, cursor.until, cursor.issued, following, number).skip_token()
        return link(request, **{"$skiptoken": token})


@dataclass(frozen=True)
class _Page:
    rows: list[Row]
    deleted: list[str]
    following: int | None


def _page(row_set: RowSet, cursor: Cursor, size: int) -> _Page:
    """Rows first, deletions last; positions beyond the rows count the deletions.

    A row that changes while pages are being read leaves this window and comes with the next delta.
    """
    edge = len(row_set.order)
    # A first read has no window to leave: a row changed meanwhile is sent as it is now, and again with the delta.
    upper = cursor.until if cursor.since else float("inf")
    rows: list[Row] = []
    if cursor.position < _DELETIONS:
        found = (row for row in row_set.scan(cursor.position) if cursor.since < row.version <= upper)
        rows = list(islice(found, size + 1))
        if len(rows) > size:
            return _Page(rows[:size], [], min(rows[size].position, edge))
    if not cursor.since:
        return _Page(rows, [], None)
    skipped = max(0, cursor.position - _DELETIONS)
    deletions = _deletions(row_set, cursor)[skipped:]
    room = size - len(rows)
    following = _DELETIONS + skipped + room if len(deletions) > room else None
    return _Page(rows, deletions[:room], following)


# Positions from here on number the deletions; no table has so many rows.
_DELETIONS = 1_000_000_000


def _deletions(row_set: RowSet, cursor: Cursor) -> list[str]:
    """The ids that were deleted and have not come back; one made and deleted between two polls is among them."""
    if not cursor.since:
        return []
    ids = (key for version, key in row_set.deletions if cursor.since < version <= cursor.until)
    return [key for key in dict.fromkeys(ids) if key not in row_set.by_id]


def _read_skip_token(token: str) -> Cursor:
    match = re.fullmatch(
        r'<cookie pagenumber="(\d+)" pagingcookie="(\d+)!(\d+)!([\d/: ]+)!(\d+)" istracking="True" />', token
    )
    if not match:
        raise bad_query("Malformed XML in the Paging Cookie")
    return Cursor(int(match[2]), int(match[3]), match[4], int(match[5]), int(match[1]))
