"""Gathers the facts of agents from the directory, a thousand at a time, so that memory does not grow with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from connector.directory.addresses import parse
from connector.directory.mailbox import mailbox
from connector.mappings import Mappings
from connector.prerequisites.facts import AgentFacts, CapacityProfile, LocationCheck, ValidationContext
from connector.prerequisites.load.numbers import phone_number
from connector.prerequisites.load.profiles import capacity_profiles
from connector.store import directory_schema as tables

CHUNK = 1000
# Many agents have the same contacts.
_parsed = lru_cache(maxsize=5_000)(parse)
Links = Mapping[str, tuple[tuple[str, ...], int]]
"""By bookable resource: the capacity profiles of its active links, and how many links are inactive."""


def agents(
    connection: Connection, mappings: Mappings, context: ValidationContext, only: Collection[str] | None = None
) -> Iterator[AgentFacts]:
    """The facts of each agent, by name: an enabled person with a status of Omnichannel, a bookable resource, a phone
    number or recipients of their own.

    `only`: ids of agents; None: all.
    """
    profiles = capacity_profiles(connection, mappings)
    wanted = _wanted(mappings.choices, only).execution_options(yield_per=CHUNK)
    for rows in connection.execute(wanted).partitions(CHUNK):
        links = _profile_links(connection, [row.resource_id for row in rows if row.resource_id], mappings.choices)
        for row in rows:
            yield _agent(row, links, profiles, mappings, context)


def identified(connection: Connection, mappings: Mappings, texts: Collection[str]) -> dict[str, list[str]]:
    """By text: the ids of the agents whose id, e-mail address or full name it is; case does not matter."""
    found: dict[str, list[str]] = {text: [] for text in texts}
    by_form = defaultdict(list)
    for text in found:
        by_form[text.strip().casefold()].append(text)
    agent = tables.agents
    wanted = select(agent.c.id, agent.c.email, agent.c.name).where(_is_agent(mappings.choices))
    # Compared here: SQLite's lower() knows the letters of ASCII alone.
    for row in connection.execute(wanted.execution_options(yield_per=CHUNK)):
        for form in {value.casefold() for value in row if value}:
            for text in by_form.get(form, ()):
                found[text].append(row.id)
    return found


def _is_agent(choices: Mapping[str, Any]) -> ColumnElement[bool]:
    agent, resource, status = tables.agents, tables.resources, tables.agent_statuses
    is_enabled, is_person = agent.c.disabled.is_not(True), agent.c.access_mode == choices["access_read_write"]
    is_user = resource.c.resource_type == choices["resource_user"]
    # Any one of these will do: the table of another may not be readable.
    signs = (
        select(status.c.id).where(status.c.agent_id == agent.c.id).exists(),
        select(resource.c.id).where((resource.c.agent_id == agent.c.id) & is_user).correlate(agent).exists(),
        agent.c.phone_number_id.is_not(None),
        agent.c.recipients != "",
    )
    return and_(is_enabled, is_person, or_(*signs))


def _wanted(choices: Mapping[str, Any], only: Collection[str] | None) -> Select[Any]:
    agent, resource, box = tables.agents, tables.resources, tables.mailboxes
    number, check = tables.phone_numbers, tables.location_checks
    beside = ((box, "box"), (number, "number"), (check, "check"))
    wanted = (
        select(
            agent,
            resource.c.id.label("resource_id"),
            resource.c.state.label("resource_state"),
            *(column.label(f"{name}_{column.name}") for table, name in beside for column in table.c),
        )
        .outerjoin(
            resource, (resource.c.agent_id == agent.c.id) & (resource.c.resource_type == choices["resource_user"])
        )
        .outerjoin(box, box.c.id == agent.c.mailbox_id)
        .outerjoin(number, number.c.id == agent.c.phone_number_id)
        .outerjoin(check, check.c.agent_id == agent.c.id)
        .where(_is_agent(choices))
        .order_by(agent.c.name, agent.c.id)
    )
    return wanted if only is None else wanted.where(agent.c.id.in_(only))


def _profile_links(connection: Connection, resource_ids: Sequence[str], choices: Mapping[str, Any]) -> Links:
    link = tables.resource_profiles
    active: dict[str, list[str]] = defaultdict(list)
    inactive: dict[str, int] = defaultdict(int)
    wanted = select(link.c.resource_id, link.c.profile_id, link.c.state).where(link.c.resource_id.in_(resource_ids))
    for row in connection.execute(wanted.order_by(link.c.id)):
        if row.state == choices["active"]:
            active[row.resource_id].append(row.profile_id)
        else:
            inactive[row.resource_id] += 1
    return {key: (tuple(active[key]), inactive[key]) for key in active.keys() | inactive.keys()}


def _agent(
    row: Any, links: Links, profiles: Mapping[str, CapacityProfile], mappings: Mappings, context: ValidationContext
) -> AgentFacts:
    choices = mappings.choices
    active, inactive = links.get(row.resource_id, ((), 0))
    told = row.number_country or row.country_name or ""
    return AgentFacts(
        id=row.id,
        name=row.name or "",
        country=mappings.first_country(told, row.country_name),
        country_told=told,
        has_resource=None if row.resource_id is None else row.resource_state == choices["active"],
        profiles=tuple(profiles[profile_id] for profile_id in active if profile_id in profiles),
        inactive_links=inactive,
        mailbox=mailbox(row, mappings),
        personal_number=None
        if row.number_id is None
        else phone_number(
            row.number_number,
            row.number_country,
            row.number_outbound_enabled,
            row.number_source,
            row.number_state,
            choices,
        ),
        recipients=_parsed(row.recipients),
        email=row.email or "",
        address_elsewhere="" if mappings.country(row.country_name) else row.country_name or "",
        location_check=_location_check(row, mappings, context),
        attributes={name: str(value) for name, value in (row.attributes or {}).items() if value is not None},
    )


def _location_check(row: Any, mappings: Mappings, context: ValidationContext) -> LocationCheck | None:
    if row.check_at is None:
        return None
    return LocationCheck(
        at=row.check_at,
        permission=row.check_permission,
        accuracy=row.check_accuracy,
        country=mappings.country(row.check_country),
        country_told=row.check_country or "",
        expired=context.now - row.check_at > context.location_valid_for,
    )
