"""Sets agents' Emergency Call Notifications in Dataverse: checked and shown first, never over somebody's edit."""

from __future__ import annotations

import csv
import io
import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import select

from connector.dataverse.client import READ_SECONDS, Dataverse
from connector.directory.addresses import parse
from connector.directory.lookup import fetch_agent
from connector.errors import BadData, ConnectorError, EditConflict, NotFound, ServiceRejected
from connector.mappings import Mappings
from connector.store.database import Database
from connector.store.directory_schema import agents

State = Literal["unchanged", "to change", "changed", "refused"]


@dataclass(frozen=True)
class Wish:
    """Whom an agent's emergency calls shall be told to.

    `agent` is an e-mail address, a full name or a Dataverse user id.
    """

    agent: str
    recipients: str


@dataclass(frozen=True)
class Change:
    """What a wish comes to.

    `before` and `after` are the field's text; `problem` says why it was refused, or what lags after it was written.
    """

    agent: str
    state: State
    before: str = ""
    after: str = ""
    problem: str = ""
    agent_id: str = ""
    etag: str = ""


def read_csv(file: Path) -> list[Wish]:
    """The wishes of a CSV file with the columns `agent` and `recipients`, separated by commas or semicolons.

    Raises BadData naming file and line where a cell is missing or too many, or an agent stands there twice.
    """
    rows = _rows(file, _text(file))
    names = [name.strip().casefold() for name in next(rows, (1, []))[1]]
    if names.count("agent") != 1 or names.count("recipients") != 1:
        raise BadData(f"{file}: the first line must name the columns agent and recipients")
    wishes: dict[str, Wish] = {}
    for line, row in rows:
        wish = _wish(f"{file}, line {line}", names, row)
        if wishes.setdefault(_form(wish.agent), wish) is not wish:
            raise BadData(f"{file}, line {line}: the agent stands in an earlier line, too")
    if not wishes:
        raise BadData(f"{file} names nobody: below the first line there is none with an agent")
    return list(wishes.values())


def _text(file: Path) -> str:
    if file.is_dir():
        raise BadData(f"{file} is a folder: name the CSV file in it")
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadData(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file} cannot be read ({type(error).__name__}): save it as CSV in UTF-8") from None


def _rows(file: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line where it begins."""
    # strict: a quote that nobody closed would make the following agents recipients of this one.
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error:
            limit = f"{csv.field_size_limit():,}"
            raise BadData(
                f"{file}, line {line}: a quote is not closed, or a cell has more than {limit} characters: correct it"
            ) from None
        if row is None:
            return
        if any(cell.strip() for cell in row):
            yield line, row


def _wish(where: str, names: list[str], row: list[str]) -> Wish:
    if len(row) > len(names):
        raise BadData(f"{where}: more cells than columns; put the recipients in quotes")
    cells = dict(zip(names, row, strict=False))
    agent = cells.get("agent", "").strip()
    if not agent or "recipients" not in cells:
        raise BadData(f"{where}: both columns must be filled")
    return Wish(agent, cells["recipients"])


class Recipients:
    """Previews and applies wishes.

    A wish that cannot be done is refused. What concerns all of them raises RetryLater, once waiting has not helped, or
    AuthenticationError.
    """

    def __init__(self, dataverse: Dataverse, directory: Database, mappings: Mappings) -> None:
        self._dataverse = dataverse
        self._directory = directory
        self._mappings = mappings
        self._mapping = mappings.tables["agents"]
        self._column = self._mapping.columns["recipients"]

    def preview(self, wishes: Sequence[Wish]) -> Iterator[Change]:
        """What each wish would change, from Dataverse's rows as they are when it is its turn."""
        meant = self._meant(wishes)
        often = Counter(chain.from_iterable(meant[_form(wish.agent)] for wish in wishes))
        for wish in wishes:
            try:
                yield self._preview(wish, _only(meant[_form(wish.agent)], often))
            except (ServiceRejected, BadData) as error:
                yield Change(wish.agent, "refused", problem=str(error))

    def apply(self, change: Change) -> Change:
        """Writes a previewed change, unless somebody edited the row since, and stores the row in the directory."""
        if change.state == "refused":
            return change
        if change.state == "unchanged":
            return self._stored(change, change.before)
        try:
            self._write(change)
        except EditConflict:
            problem = "somebody edited the user since the preview: look again, then repeat"
            return replace(change, state="refused", problem=problem)
        except (ServiceRejected, BadData) as error:
            return replace(change, state="refused", problem=_explained(error, change.after))
        return self._stored(replace(change, state="changed"), change.after)

    def _preview(self, wish: Wish, agent_id: str) -> Change:
        wanted = parse(wish.recipients)
        if wanted.invalid:
            raise BadData(f"no e-mail address: {', '.join(wanted.invalid)}")
        if self._longest is not None and len(wanted.text) > self._longest:
            size = f"{len(wanted.text)} characters, and the field holds {self._longest}"
            raise BadData(f"too long: {size}; name fewer addresses, or one of a group")
        row = self._row(agent_id)
        before = row.get(self._column) or ""
        same = parse(before).valid == wanted.valid and not parse(before).invalid
        state: State = "unchanged" if same else "to change"
        return Change(wish.agent, state, before, wanted.text, agent_id=agent_id, etag=row["@odata.etag"])

    @cached_property
    def _longest(self) -> int | None:
        """How many characters the field holds, None where Dataverse does not tell."""
        path = f"EntityDefinitions(LogicalName='{self._mapping.table}')/Attributes(LogicalName='{self._column}')"
        try:
            told = self._dataverse.patiently(lambda: self._dataverse.get(path)).get("MaxLength")
        except (ServiceRejected, BadData):
            return None
        return told if isinstance(told, int) else None

    def _row(self, agent_id: str) -> Mapping[str, Any]:
        path = f"{self._mapping.set}({agent_id})?$select={self._column}"
        row: Mapping[str, Any] = self._dataverse.patiently(lambda: self._dataverse.get(path))
        return row

    def _write(self, change: Change) -> None:
        values = {self._column: change.after or None}
        try:
            self._dataverse.patiently(
                lambda: self._dataverse.update(self._mapping.set, change.agent_id, values, etag=change.etag)
            )
        except EditConflict:
            # The edit may be our own: an attempt that took effect although its answer was lost.
            if self._row(change.agent_id).get(self._column) != values[self._column]:
                raise

    def _stored(self, change: Change, now: str) -> Change:
        """Brings the directory's row up to date: it decides who is told, and would be behind until the next sync."""
        try:
            if self._known(change.agent_id) != now:
                parts = (self._dataverse, self._directory, self._mappings, change.agent_id, READ_SECONDS)
                self._dataverse.patiently(lambda: fetch_agent(*parts))
        except ConnectorError as error:
            return replace(change, problem=f"calls go by the recipients before until the next sync: {error}")
        return change

    def _known(self, agent_id: str) -> str:
        """The recipients that the directory knows."""
        with self._directory.read() as connection:
            return connection.execute(select(agents.c.recipients).where(agents.c.id == agent_id)).scalar() or ""

    def _meant(self, wishes: Sequence[Wish]) -> Mapping[str, Collection[str]]:
        """By form of a wish's agent: the ids of the users that it may mean, from one pass over the directory."""
        found: dict[str, set[str]] = {form: _as_id(form) for form in {_form(wish.agent) for wish in wishes}}
        if all(found.values()):
            return found
        users = select(agents.c.id, agents.c.email, agents.c.name).execution_options(yield_per=1000)
        # Compared here: SQLite's lower() knows the letters of ASCII alone.
        with self._directory.read() as connection:
            for user in connection.execute(users):
                for value in filter(None, (user.email, user.name)):
                    if (form := _form(value)) in found:
                        found[form].add(user.id)
        return found


def _form(text: str) -> str:
    return text.strip().casefold()


def _as_id(form: str) -> set[str]:
    try:
        return {str(uuid.UUID(form))}
    except ValueError:
        return set()


def _only(ids: Collection[str], often: Mapping[str, int]) -> str:
    """The one user who is meant, in this line alone. Raises NotFound or BadData: nobody is guessed."""
    if not ids:
        problem = "no user with this address or name in the directory: sync, or give the user's id"
        raise NotFound(problem, status=404)
    if len(ids) > 1:
        raise BadData("several users have this address or name: give the user's id")
    (agent_id,) = ids
    if often[agent_id] > 1:
        raise BadData("another line may mean the same user: keep one of them")
    return agent_id


def _explained(error: ConnectorError, text: str) -> str:
    too_long = isinstance(error, ServiceRejected) and error.status == 400
    return f"{error}; perhaps {len(text)} characters are more than the field holds" if too_long else str(error)
