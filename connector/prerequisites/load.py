"""Gathers the facts of every agent from the directory, one agent after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, or_, select

from connector.acs.numbers import PurchasedNumber, Route, Routing
from connector.directory.addresses import parse
from connector.mappings import Mappings
from connector.numbers.form import e164
from connector.prerequisites.facts import (
    AcsFacts,
    AgentFacts,
    CapacityProfile,
    Carrier,
    Mailbox,
    OutboundProfile,
    PhoneNumber,
)
from connector.store import directory_schema as tables


def acs_facts(connection: Connection) -> AcsFacts:
    """What the last sync saw of the ACS resource."""
    owned = [
        PurchasedNumber(row.number, row.country, row.calling, row.number_type)
        for row in connection.execute(select(tables.acs_numbers))
    ]
    row = connection.execute(select(tables.sip_routing)).one_or_none()
    routes = tuple(Route(route["name"], route["pattern"]) for route in row.routes) if row else ()
    return AcsFacts({number.number: number for number in owned}, Routing(row.trunks if row else 0, routes))


def agents(connection: Connection, mappings: Mappings) -> Iterator[AgentFacts]:
    """The facts of each agent: an enabled person with a status of Omnichannel or a bookable resource, by name."""
    choices = mappings.choices
    numbers = _numbers(connection, mappings)
    profiles = _capacity_profiles(connection, mappings, numbers)
    links = _profile_links(connection, choices)
    agent, resource, mailbox, status = tables.agents, tables.resources, tables.mailboxes, tables.agent_statuses
    is_person = (agent.c.disabled.is_not(True)) & (agent.c.access_mode == choices["access_read_write"])
    wanted = (
        select(
            agent,
            resource.c.id.label("resource_id"),
            resource.c.state.label("resource_state"),
            *(column.label(f"box_{column.name}") for column in mailbox.c if column.name != "generation"),
        )
        .outerjoin(
            resource, (resource.c.agent_id == agent.c.id) & (resource.c.resource_type == choices["resource_user"])
        )
        .outerjoin(mailbox, mailbox.c.id == agent.c.mailbox_id)
        .where(is_person)
        .where(
            or_(
                resource.c.id.is_not(None),
                select(status.c.id).where(status.c.agent_id == agent.c.id).exists(),
            )
        )
        .order_by(agent.c.name, agent.c.id)
        .execution_options(yield_per=1000)
    )
    for row in connection.execute(wanted):
        active, inactive = links.get(row.resource_id, ((), 0))
        number = numbers.get(row.phone_number_id)
        told = (number[1] if number else None) or row.country_name or ""
        yield AgentFacts(
            id=row.id,
            name=row.name or "",
            country=mappings.country(told) or mappings.country(row.country_name),
            country_told=told,
            has_resource=None if row.resource_id is None else row.resource_state == choices["active"],
            profiles=tuple(profiles[profile_id] for profile_id in active if profile_id in profiles),
            inactive_links=inactive,
            mailbox=_mailbox(row, choices),
            personal_number=number[0] if number else None,
            recipients=parse(row.recipients),
        )


def _numbers(connection: Connection, mappings: Mappings) -> dict[str, tuple[PhoneNumber, str | None]]:
    """By row id: the number and its country."""
    choices = mappings.choices
    carriers = {
        choices["source_direct_offer"]: Carrier.CALLING_PLAN,
        choices["source_direct_routing"]: Carrier.DIRECT_ROUTING,
    }
    return {
        row.id: (
            PhoneNumber(
                e164(row.number, row.country) or (row.number or ""),
                bool(row.outbound_enabled) and row.state == choices["active"],
                carriers.get(row.source, Carrier.UNKNOWN),
            ),
            row.country,
        )
        for row in connection.execute(select(tables.phone_numbers))
    }


def _capacity_profiles(
    connection: Connection, mappings: Mappings, numbers: Mapping[str, tuple[PhoneNumber, str | None]]
) -> dict[str, CapacityProfile]:
    """By row id: the capacity profiles with the work streams they are tied to."""
    choices = mappings.choices
    channels = {
        row.work_stream_id: row
        for row in connection.execute(select(tables.voice_channels))
        if row.state == choices["active"]
    }
    streams = {
        row.id: _outbound_profile(row, channels.get(row.id), numbers, choices)
        for row in connection.execute(select(tables.work_streams))
    }
    tied = defaultdict(list)
    for row in connection.execute(select(tables.work_stream_profiles)):
        if row.work_stream_id in streams:
            tied[row.profile_id].append(streams[row.work_stream_id])
    return {
        row.id: CapacityProfile(row.name or "", row.state == choices["active"], tuple(tied[row.id]))
        for row in connection.execute(select(tables.capacity_profiles))
    }


def _outbound_profile(
    stream: Any, channel: Any, numbers: Mapping[str, tuple[PhoneNumber, str | None]], choices: Mapping[str, Any]
) -> OutboundProfile:
    number = numbers.get(channel.phone_number_id) if channel else None
    return OutboundProfile(
        name=stream.name or "",
        active=stream.state == choices["active"],
        outbound=stream.direction in choices["direction_outbound"],
        voice=stream.stream_source == choices["stream_voice_call"],
        has_channel=channel is not None,
        number=number[0] if number else None,
    )


def _profile_links(connection: Connection, choices: Mapping[str, Any]) -> dict[str, tuple[tuple[str, ...], int]]:
    """By bookable resource: the capacity profiles of its active links, and how many links are inactive."""
    links: dict[str, tuple[tuple[str, ...], int]] = {}
    for row in connection.execute(select(tables.resource_profiles)):
        active, inactive = links.get(row.resource_id, ((), 0))
        if row.state == choices["active"]:
            links[row.resource_id] = ((*active, row.profile_id), inactive)
        else:
            links[row.resource_id] = (active, inactive + 1)
    return links


def _mailbox(row: Any, choices: Mapping[str, Any]) -> Mailbox | None:
    if row.box_id is None:
        return None
    return Mailbox(
        active=row.box_state == choices["active"],
        server_side=row.box_outgoing_method == choices["method_server_side"],
        outgoing_enabled=bool(row.box_outgoing_enabled),
        tested=row.box_outgoing_status != choices["status_not_run"],
        test_succeeded=row.box_outgoing_status == choices["status_success"],
        approved=row.box_approval == choices["approval_approved"] or bool(row.box_approved_by_admin),
    )
