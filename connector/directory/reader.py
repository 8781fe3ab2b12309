"""What the emergency path asks of the directory: an agent, the template, the presences. Reads the local copy only."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import select

from connector.directory.addresses import parse
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


@dataclass(frozen=True)
class Template:
    """The notification template: subject and body as XSLT, or plain HTML in `html`."""

    subject: str
    body: str
    html: str


class Directory:
    """Reads the local copy."""

    def __init__(self, database: Database, mappings: Mappings) -> None:
        self.database = database
        self._mappings = mappings

    def agent(self, agent_id: str) -> Agent | None:
        """The agent with a Dataverse user id, None if the directory does not know them."""
        agents, numbers, mailboxes = tables.agents, tables.phone_numbers, tables.mailboxes
        wanted = (
            select(agents, numbers.c.number, numbers.c.country, *(c.label(f"box_{c.name}") for c in mailboxes.c))
            .outerjoin(numbers, numbers.c.id == agents.c.phone_number_id)
            .outerjoin(mailboxes, mailboxes.c.id == agents.c.mailbox_id)
            .where(agents.c.id == agent_id)
        )
        with self.database.read() as connection:
            row = connection.execute(wanted).one_or_none()
        return self._agent(row) if row else None

    def _agent(self, row: Any) -> Agent:
        addresses = parse(row.recipients)
        country = self._mappings.country(row.country) or self._mappings.country(row.country_name)
        return Agent(
            id=row.id,
            name=row.name or "",
            recipients=addresses.valid,
            invalid_recipients=len(addresses.invalid),
            number=e164(row.number, country.code if country else None),
            country=country.code if country else None,
            mailbox_ready=self._mailbox_ready(row),
            attributes={name: str(value) for name, value in (row.attributes or {}).items() if value is not None},
        )

    def _mailbox_ready(self, row: Any) -> bool:
        choices = self._mappings.choices
        return bool(
            row.box_id
            and row.box_state == choices["active"]
            and row.box_outgoing_method == choices["method_server_side"]
            and row.box_outgoing_enabled
            and row.box_outgoing_status == choices["status_success"]
        )

    def template(self, title: str) -> Template | None:
        """The organisation's template with a title; the newest copy has no precedence, so the first by id."""
        templates = tables.templates
        with self.database.read() as connection:
            row = connection.execute(
                select(templates).where(templates.c.title == title).order_by(templates.c.id).limit(1)
            ).one_or_none()
        return Template(row.subject or "", row.body or "", row.html or "") if row else None

    def do_not_disturb(self) -> str | None:
        """The id of the presence that means Do not disturb."""
        presences = tables.presences
        wanted = (
            select(presences.c.id)
            .where(presences.c.base_status == self._mappings.choices["presence_do_not_disturb"])
            .order_by(presences.c.id)
            .limit(1)
        )
        with self.database.read() as connection:
            return connection.execute(wanted).scalar()

    def status(self, agent_id: str) -> tuple[str, str | None] | None:
        """The id of an agent's status row and the presence last seen in it, None if there is no row."""
        statuses = tables.agent_statuses
        with self.database.read() as connection:
            row = connection.execute(
                select(statuses.c.id, statuses.c.presence_id).where(statuses.c.agent_id == agent_id).limit(1)
            ).one_or_none()
        return (row.id, row.presence_id) if row else None

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


def batched(ids: Sequence[str], size: int = 500) -> Iterator[Sequence[str]]:
    """Ids in pieces that one statement can take."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def if_readable(read: Callable[[], _Found]) -> _Found | None:
    """What `read` finds in the directory; None, and a log line, whatever ails it: it is a help and not a condition."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 (a call must be dealt with though the directory is broken)
        log().error("directory_out_of_reach", error=type(error).__name__, where=where(error))
        return None
