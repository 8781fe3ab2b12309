"""What concerns every agent alike: the template, the numbers of the ACS resource, how old the directory is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import urlsplit

from sqlalchemy import Connection, select

from connector.directory import progress
from connector.directory.templates import with_title
from connector.mappings import Mappings
from connector.prerequisites import not_judged
from connector.prerequisites.facts import (
    OrganisationFacts,
    TableState,
    TemplateFacts,
    ValidationContext,
    WebhookFacts,
)
from connector.prerequisites.load.numbers import acs_facts
from connector.settings import Settings
from connector.store import calls
from connector.store import directory_schema as tables
from connector.store.database import Database


def validation_context(
    settings: Settings, store: Database, now: datetime, webhook: WebhookFacts | None = None
) -> ValidationContext:
    """What a validation knows from the settings and the pool of callback numbers. Raises RetryLater."""
    with store.read() as connection:
        pool = calls.pool_size(connection)
    return ValidationContext(
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


def organisation(connection: Connection, mappings: Mappings, context: ValidationContext) -> OrganisationFacts:
    """The facts of the organisation, as last synced."""
    return OrganisationFacts(
        acs=acs_facts(connection),
        now=context.now,
        template_title=context.template_title,
        template=_template(connection, mappings, context.template_title),
        pool=context.pool,
        sender=context.sender,
        fallback_recipients=context.fallback_recipients,
        webhook=context.webhook,
        tables=tuple(_tables(connection, mappings)),
        left_to_dynamics=context.left_to_dynamics,
        public_host=context.public_host,
    )


def _template(connection: Connection, mappings: Mappings, title: str) -> TemplateFacts | None:
    template = with_title(connection, title)
    if template is None:
        return None
    return TemplateFacts(title, template.subject, template.body, mappings.choices["template_entity"])


def _tables(connection: Connection, mappings: Mappings) -> Iterator[TableState]:
    known = {row.name: row for row in connection.execute(select(tables.sync_progress))}
    for name, mapping in mappings.tables.items():
        row = known.get(name)
        met = tuple((problem["code"], problem["text"]) for problem in (row.problems if row else None) or ())
        yield TableState(mapping.table, row.completed_at if row else None, met, name)
    acs = known.get(progress.ACS)
    yield TableState("numbers and routes of the ACS resource", acs.completed_at if acs else None, key=not_judged.ACS)
