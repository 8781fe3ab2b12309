"""What the directory itself lacks: tables never read or long ago, and what the organisation does not have."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from connector.prerequisites.facts import OrganisationFacts
from connector.prerequisites.findings import Finding, error, unknown, warning

OLD = timedelta(days=1)
"""The service syncs every few minutes, a scheduled validation at least daily."""


def check_organisation(facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields at most one finding a code: all tables that it concerns are its evidence."""
    yield from _problems(facts)
    never = [table.name for table in facts.tables if table.completed_at is None and not table.problems]
    if never:
        yield unknown(
            "directory.never_read",
            "tables have never been read whole, so what depends on them is not judged rightly",
            "run `emergency-connector sync`",
            ", ".join(never),
        )
    old = [
        f"{table.name}: {table.completed_at:%Y-%m-%d %H:%M} UTC"
        for table in facts.tables
        if table.completed_at and facts.now - table.completed_at > OLD
    ]
    if old:
        yield warning(
            "directory.old",
            "the directory was not brought up to date for a day or more",
            "run `emergency-connector sync` and see why the schedule does not",
            "; ".join(old),
        )


def _problems(facts: OrganisationFacts) -> Iterator[Finding]:
    """What the sync met, under the codes that it gave."""
    kinds = (
        error("sync.table_missing", "Dataverse lacks a table", "install the voice channel, or correct the mappings"),
        error("sync.column_missing", "Dataverse lacks a column", "update the voice channel, or correct the mappings"),
        error(
            "sync.privilege_missing",
            "the application user may not read a table",
            "Power Platform admin center > Security roles: add the privilege named, with organisation scope",
        ),
        error("sync.refused", "Dataverse refused to give a table", "see what it says, then run the sync again"),
        error(
            "sync.no_organisation_read",
            "the application user may not read all rows of a table, so agents may be missing",
            "Power Platform admin center > Security roles: give Read at organisation level",
        ),
        warning(
            "sync.not_tracked",
            "changes of a table are not tracked, so it is up to date only from time to time",
            "Power Apps > Tables > the table > Properties > Advanced: Track changes",
        ),
    )
    for kind in kinds:
        told = [text for table in facts.tables for code, text in table.problems if code == kind.code]
        if told:
            yield Finding(kind.code, kind.severity, kind.message, kind.remedy, "; ".join(told))
