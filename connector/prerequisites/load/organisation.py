"""What concerns every agent alike: the template, the numbers of the ACS resource, how old the directory is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection, select

from connector.directory import progress
from connector.mappings import Mappings
from connector.prerequisites import basis
from connector.prerequisites.facts import (
    Circumstances,
    OrganisationFacts,
    TableState,
    TemplateFacts,
    WebhookFacts,
)
from connector.prerequisites.load.numbers import acs_facts
from connector.settings import Settings
from connector.store import calls
from connector.store import directory_schema as tables
from connector.store.database import Database


def circumstances(
    settings: Settings, store: Database, now: datetime, webhook: WebhookFacts | None = None
) -> Circumstances:
    """What a validation knows from the settings and the pool of callback numbers. Raises RetryLater."""
    with store.read() as connection:
        pool = calls.pool_size(connection)
    return Circumstances(
        now=now,
        template_title=settings.template_title,
        location_days=settings.location_check_days,
        pool=pool,
        sender=settings.email_sender,
        fallback_recipients=bool(settings.fallback_recipients),
        webhook=webhook,
        left_to_dynamics=frozenset(settings.excluded_steps),
        public_host=urlsplit(settings.public_url).hostname or "",
    )


def organisation(connection: Connection, mappings: Mappings, around: Circumstances) -> OrganisationFacts:
    """The facts of the organisation, as last synced."""
    return OrganisationFacts(
        acs=acs_facts(connection),
        now=around.now,
        template_title=around.template_title,
        template=_template(connection, mappings, around.template_title),
        pool=around.pool,
        sender=around.sender,
        fallback_recipients=around.fallback_recipients,
        webhook=around.webhook,
        tables=tuple(_tables(connection, mappings)),
        left_to_dynamics=around.left_to_dynamics,
        public_host=around.public_host,
    )


def _template(connection: Connection, mappings: Mappings, title: str) -> TemplateFacts | None:
    template = tables.templates
    wanted = select(template).where(template.c.title == title).order_by(template.c.id).limit(1)
    row = connection.execute(wanted).one_or_none()
    if row is None:
        return None
    entity = mappings.choices["template_entity"]
    return TemplateFacts(title, row.subject or "", row.body or row.html or "", entity)


def _tables(connection: Connection, mappings: Mappings) -> Iterator[TableState]:
    known = {row.name: row for row in connection.execute(select(tables.sync_progress))}
    for name, mapping in mappings.tables.items():
        row = known.get(name)
        met = tuple((problem["code"], problem["text"]) for problem in (row.problems if row else None) or ())
        yield TableState(mapping.table, row.completed_at if row else None, met, name)
    acs = known.get(progress.ACS)
    yield TableState("numbers and routes of the ACS resource", acs.completed_at if acs else None, key=basis.ACS)
