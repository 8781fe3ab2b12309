"""What the emergency path asks of the directory. Reads the local copy only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, select

from connector.directory.addresses import parse
from connector.directory.mailbox import mailbox
from connector.directory.templates import Template, with_title
from connector.e164 import e164
from connector.logs import log, where
from connector.mappings import Mappings
from connector.store import directory_schema as tables
from connector.store.database import Database

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Agent:
    """An agent as the emergency path sees them. `attributes` are what a template may name."""

    id: str
    name: str
    recipients: tuple[str, ...]
    invalid_recipients: int
    number: str | None
    """The agent's own number (E.164)."""
    country: str | None
    """ISO code where the country is supported, taken from the agent's number, else from the address."""
    mailbox_ready: bool
    attributes: Mapping[str, str]
    status_id: str | None = None
    """The row of Dataverse that shows the agent's presence."""
    presence_id: str | None = None
    """The presence that it showed at the last sync."""


@dataclass(frozen=True)
class Briefing:
    """What the directory says when an agent dials: read once, and handed to the effects of the dial."""

    agent: Agent | None = None
    template: Template | None = None
    do_not_disturb: str | None = None
    """The id of the presence that means Do not disturb."""


class Directory:
    """Reads the local copy."""

    def __init__(self, database: Database, mappings: Mappings) -> None:
        self.database = database
        self._mappings = mappings
        self._do_not_disturb = (
            select(tables.presences.c.id)
            .where(tables.presences.c.base_status == mappings.choices["presence_do_not_disturb"])
            .order_by(tables.presences.c.id)
            .limit(1)
        )
        self._agent_wanted = _agent_wanted(self._do_not_disturb.scalar_subquery().label("do_not_disturb"))

    def briefing(self, agent_id: str, template_title: str) -> Briefing:
        """The agent, the template and the presence to set, on one snapshot."""
        with self.database.read() as connection:
            row = self._row(connection, agent_id)
            template = with_title(connection, template_title)
        return Briefing(self._agent(row), template, row.do_not_disturb) if row else Briefing(template=template)

    def agent(self, agent_id: str) -> Agent | None:
        """The agent with a Dataverse user id, None if the directory does not know them."""
        with self.database.read() as connection:
            row = self._row(connection, agent_id)
        return self._agent(row) if row else None

    def _row(self, connection: Connection, agent_id: str) -> Row[Any] | None:
        # An agent may have several status rows; any will do.
        return connection.execute(self._agent_wanted, {"agent_id": agent_id}).first()

    def _agent(self, row: Row[Any]) -> Agent:
        addresses, box = parse(row.recipients), mailbox(row, self._mappings)
        country = self._mappings.first_country(row.country, row.country_name)
        return Agent(
            id=row.id,
            name=row.name or "",
            recipients=addresses.valid,
            invalid_recipients=len(addresses.invalid),
            number=e164(row.number, country.code if country else None),
            country=country.code if country else None,
            mailbox_ready=box is not None and box.ready,
            attributes={name: str(value) for name, value in (row.attributes or {}).items() if value is not None},
            status_id=row.status_id,
            presence_id=row.presence_id,
        )

    def do_not_disturb(self) -> str | None:
        """The id of the presence that means Do not disturb."""
        with self.database.read() as connection:
            return connection.execute(self._do_not_disturb).scalar()

    def names(self, agent_ids: Collection[str]) -> dict[str, str]:
        """The names of agents by id, of those that the directory knows."""
        agents, found = tables.agents, {}
        with self.database.read() as connection:
            for some in batched(sorted(agent_ids)):
                rows = connection.execute(select(agents.c.id, agents.c.name).where(agents.c.id.in_(some)))
                found.update({row.id: row.name or "" for row in rows})
        return found

    def numbers_in_use(self) -> set[str]:
        """Numbers that Dynamics knows (E.164): they carry customers, so they are not leased."""
        numbers = tables.phone_numbers
        with self.database.read() as connection:
            rows = connection.execute(select(numbers.c.number, numbers.c.country)).all()
        return {number for row in rows if (number := e164(row.number, row.country))}


def _agent_wanted(do_not_disturb: Any) -> Any:
    agents, numbers, boxes, statuses = tables.agents, tables.phone_numbers, tables.mailboxes, tables.agent_statuses
    return (
        select(
            agents,
            numbers.c.number,
            numbers.c.country,
            statuses.c.id.label("status_id"),
            statuses.c.presence_id,
            do_not_disturb,
            *(column.label(f"box_{column.name}") for column in boxes.c),
        )
        .outerjoin(numbers, numbers.c.id == agents.c.phone_number_id)
        .outerjoin(boxes, boxes.c.id == agents.c.mailbox_id)
        .outerjoin(statuses, statuses.c.agent_id == agents.c.id)
        .where(agents.c.id == bindparam("agent_id"))
        .limit(1)
    )


def batched(ids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """Ids in pieces that one statement can take."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def if_readable(read: Callable[[], _Found]) -> _Found | None:
    """What `read` finds; None (logged) on any error. A call never depends on the directory."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 (a call must be dealt with though the directory is broken)
        log().error("directory_out_of_reach", error=type(error).__name__, where=where(error))
        return None
