"""Sets agents' Emergency Call Notifications in Dataverse: checked and shown first, never over somebody's edit."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from sqlalchemy import func, select

from connector.dataverse.client import Dataverse
from connector.directory.addresses import parse
from connector.errors import BadData, ConnectorError, EditConflict, NotFound
from connector.mappings import Mappings
from connector.store.database import Database
from connector.store.directory_schema import agents

State = Literal["unchanged", "to change", "changed", "refused"]


@dataclass(frozen=True)
class Wish:
    """Whom an agent's emergency calls shall be told to. `agent` is an e-mail address or a Dataverse user id."""

    agent: str
    recipients: str


@dataclass(frozen=True)
class Change:
    """What a wish comes to. `before` and `after` are the field's text; `problem` says why it was refused."""

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
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadData(f"{file}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{file} cannot be read ({type(error).__name__}): save it as CSV in UTF-8") from None
    reader = csv.DictReader(text.splitlines(), delimiter=";" if ";" in text.partition("\n")[0] else ",")
    if not {"agent", "recipients"} <= set(reader.fieldnames or ()):
        raise BadData(f"{file}: the first line must name the columns agent and recipients")
    wishes: dict[str, Wish] = {}
    for row in reader:
        where = f"{file}, line {reader.line_num}"
        if None in row:
            raise BadData(f"{where}: more cells than columns; put the recipients in quotes")
        if not row["agent"] or row["recipients"] is None:
            raise BadData(f"{where}: both columns must be filled")
        agent = row["agent"].strip()
        if agent.lower() in wishes:
            raise BadData(f"{where}: the agent stands in an earlier line, too")
        wishes[agent.lower()] = Wish(agent, row["recipients"])
    return list(wishes.values())


class Recipients:
    """Previews and applies wishes."""

    def __init__(self, dataverse: Dataverse, directory: Database, mappings: Mappings) -> None:
        self._dataverse = dataverse
        self._directory = directory
        self._mapping = mappings.tables["agents"]

    def preview(self, wishes: Iterable[Wish]) -> Iterator[Change]:
        """What each wish would change, from Dataverse's rows as they are now."""
        for wish in wishes:
            try:
                yield self._preview(wish)
            except ConnectorError as error:
                yield Change(wish.agent, "refused", problem=str(error))

    def apply(self, change: Change) -> Change:
        """Writes a previewed change, unless somebody edited the row since."""
        if change.state != "to change":
            return change
        column = self._mapping.columns["recipients"]
        try:
            self._dataverse.update(self._mapping.set, change.agent_id, {column: change.after or None}, etag=change.etag)
        except EditConflict:
            problem = "somebody edited the user since the preview: look again, then repeat"
            return replace(change, state="refused", problem=problem)
        except ConnectorError as error:
            return replace(change, state="refused", problem=str(error))
        return replace(change, state="changed")

    def _preview(self, wish: Wish) -> Change:
        wanted = parse(wish.recipients)
        if wanted.invalid:
            raise BadData(f"no e-mail address: {', '.join(wanted.invalid)}")
        column = self._mapping.columns["recipients"]
        agent_id = self._agent_id(wish.agent)
        row = self._dataverse.patiently(
            lambda: self._dataverse.get(f"{self._mapping.set}({agent_id})?$select={column}")
        )
        before = row.get(column) or ""
        same = parse(before).valid == wanted.valid and not parse(before).invalid
        state: State = "unchanged" if same else "to change"
        return Change(wish.agent, state, before, wanted.text, agent_id=agent_id, etag=row["@odata.etag"])

    def _agent_id(self, agent: str) -> str:
        try:
            return str(uuid.UUID(agent))
        except ValueError:
            pass
        wanted = select(agents.c.id).where(func.lower(agents.c.email) == agent.lower()).limit(2)
        with self._directory.read() as connection:
            found = connection.execute(wanted).scalars().all()
        if len(found) != 1:
            what = "no user" if not found else "several users"
            raise NotFound(f"{what} with this address in the directory: sync, or give the user's id", status=404)
        return str(found[0])
