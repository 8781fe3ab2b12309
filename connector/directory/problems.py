"""What stands in the way of reading a table: what is missing, what that means, and what to do about it.

The texts name tables, columns and privileges, never a row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from connector.dataverse.client import Dataverse
from connector.errors import ConnectorError, MissingPrivilege, NotFound
from connector.mappings import TableMapping

TABLE_MISSING = "sync.table_missing"
COLUMN_MISSING = "sync.column_missing"
PRIVILEGE_MISSING = "sync.privilege_missing"
REFUSED = "sync.refused"
NOT_TRACKED = "sync.not_tracked"
NO_ORGANISATION_READ = "sync.no_organisation_read"
UNTRACKED = frozenset({NOT_TRACKED, NO_ORGANISATION_READ})
"""With these a table is read in full each time."""

_WITHOUT_TABLE = {
    "agents": "no agent is known",
    "agent_statuses": "presence cannot be changed; is Omnichannel for Customer Service installed?",
    "presences": "presence cannot be changed; is Omnichannel for Customer Service installed?",
    "mailboxes": "no agent's mailbox can be checked",
    "resources": "no agent has a capacity profile; is Universal Resource Scheduling installed?",
    "resource_profiles": "no agent has a capacity profile; is Omnichannel for Customer Service installed?",
    "capacity_profiles": "no agent has a capacity profile; is Omnichannel for Customer Service installed?",
    "work_stream_profiles": "no agent has an outbound profile; is Omnichannel for Customer Service installed?",
    "work_streams": "no agent has an outbound profile; is Omnichannel for Customer Service installed?",
    "voice_channels": "no agent can make voice calls; install the voice channel",
    "phone_numbers": "no agent has a telephone number; install the voice channel",
    "templates": "messages have our own plain text instead of the organisation's template",
}
_WITHOUT_COLUMN = {
    ("agents", "recipients"): "whom to tell cannot be read, so every agent's emergency call is told to the fallback "
    "recipients; update the voice channel of this environment, or name the right column in the mappings",
}


@dataclass(frozen=True, order=True)
class Problem:
    """A finding about one table, with a stable code."""

    code: str
    text: str

    @property
    def hinders(self) -> bool:
        """Whether something may be missing in the directory because of it."""
        return self.code != NOT_TRACKED


def stored(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """As the directory keeps them."""
    return [vars(problem) for problem in problems]


def read(kept: Any) -> tuple[Problem, ...]:
    """From what the directory keeps. Any: the value of a JSON column."""
    return tuple(Problem(**entry) for entry in kept or ())


def table_missing(mapping: TableMapping) -> Problem:
    """This environment has no such table."""
    means = _WITHOUT_TABLE.get(mapping.name, "what depends on it is unknown")
    return Problem(TABLE_MISSING, f"table {mapping.table} does not exist in this environment: {means}")


def privilege_missing(mapping: TableMapping, error: MissingPrivilege) -> Problem:
    """The application user may not read the table."""
    lacks = error.privilege or "a privilege that Dataverse does not name"
    text = f"the application user lacks {lacks} on table {mapping.table}: its copy is not renewed; add it to the user's"
    return Problem(PRIVILEGE_MISSING, f"{text} security role, with organisation scope")


def refused(mapping: TableMapping, error: ConnectorError) -> Problem:
    """Something else: trouble that may pass, or that only a change of something can mend."""
    return Problem(REFUSED, f"table {mapping.table} could not be read: {error}")


def untracked(mapping: TableMapping, *, forbidden: bool) -> Problem:
    """The table is read in full each time; `forbidden`: because the caller may not read all of it."""
    means = "so it is read in full from time to time instead of its changes only"
    if forbidden:
        text = f"the application user has no organisation-level read of table {mapping.table}, {means}"
        return Problem(
            NO_ORGANISATION_READ, f"{text}; rows it may not see are missing, or stay as they were when it could"
        )
    return Problem(NOT_TRACKED, f"change tracking is not enabled for table {mapping.table}, {means}")


def present(dataverse: Dataverse, mapping: TableMapping) -> TableMapping | None:
    """The mapping without the columns that this environment lacks, None without the table.

    Who may not read metadata either gets the mapping as it is. Raises ConnectorError.
    """
    path = f"EntityDefinitions(LogicalName='{mapping.table}')/Attributes?$select=LogicalName"
    try:
        answer = dataverse.patiently(lambda: dataverse.get(path))
    except NotFound:
        return None
    except MissingPrivilege:
        return mapping
    there = {row["LogicalName"] for row in answer["value"]}
    columns = {name: column for name, column in mapping.columns.items() if _attribute(column) in there}
    attributes = tuple(name for name in mapping.attributes if name in there)
    return replace(mapping, columns=columns, attributes=attributes)


def columns_missing(wanted: TableMapping, there: TableMapping) -> Iterator[Problem]:
    """A problem for each column that is in `wanted` and not in `there`; what only a template names is no problem."""
    lost: Mapping[str, str] = {name: column for name, column in wanted.columns.items() if name not in there.columns}
    for name, column in lost.items():
        means = _WITHOUT_COLUMN.get((wanted.name, name), "what depends on it cannot be checked")
        text = f"column {_attribute(column)} of table {wanted.table} does not exist in this environment: {means}"
        yield Problem(COLUMN_MISSING, text)


def _attribute(column: str) -> str:
    """The logical name of a column that the Web API names `_name_value` because it is a lookup."""
    return column[1:].removesuffix("_value") if column.startswith("_") else column
