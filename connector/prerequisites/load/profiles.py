"""Capacity profiles with the outbound profiles they are tied to, from the directory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from connector.mappings import Mappings
from connector.prerequisites.facts import CapacityProfile, OutboundProfile, PhoneNumber
from connector.prerequisites.load.numbers import phone_number
from connector.store import directory_schema as tables


def capacity_profiles(connection: Connection, mappings: Mappings) -> dict[str, CapacityProfile]:
    """By row id: the capacity profiles with the work streams they are tied to. An organisation has some dozens."""
    choices = mappings.choices
    numbers = _channel_numbers(connection, choices)
    channels = defaultdict(list)
    for row in connection.execute(select(tables.voice_channels).order_by(tables.voice_channels.c.id)):
        channels[row.work_stream_id].append(row)
    streams = {
        row.id: _outbound_profile(row, channels[row.id], numbers, mappings)
        for row in connection.execute(select(tables.work_streams))
    }
    tied = defaultdict(list)
    for row in connection.execute(select(tables.work_stream_profiles).order_by(tables.work_stream_profiles.c.id)):
        if row.work_stream_id in streams:
            tied[row.profile_id].append(streams[row.work_stream_id])
    return {
        row.id: CapacityProfile(row.name or "", row.state == choices["active"], tuple(tied[row.id]))
        for row in connection.execute(select(tables.capacity_profiles))
    }


def _channel_numbers(connection: Connection, choices: Mapping[str, Any]) -> dict[str, PhoneNumber]:
    """By row id: the numbers of voice channels only, since agents may have one each."""
    number, channel = tables.phone_numbers, tables.voice_channels
    wanted = select(number).where(number.c.id.in_(select(channel.c.phone_number_id)))
    return {
        row.id: phone_number(row.number, row.country, row.outbound_enabled, row.source, row.state, choices)
        for row in connection.execute(wanted)
    }


def _outbound_profile(
    stream: Any, channels: Sequence[Any], numbers: Mapping[str, PhoneNumber], mappings: Mappings
) -> OutboundProfile:
    choices = mappings.choices
    active = [channel for channel in channels if channel.state == choices["active"]]
    offered = [numbers[channel.phone_number_id] for channel in active if channel.phone_number_id in numbers]
    # Of several channels the one that can make calls counts.
    number = max(offered, key=lambda number: number.outbound, default=None)
    return OutboundProfile(
        name=stream.name or "",
        active=stream.state == choices["active"],
        outbound=stream.direction in choices["direction_outbound"],
        voice=stream.stream_source == choices["stream_voice_call"],
        has_channel=bool(active),
        number=number,
        direction=mappings.label("direction", stream.direction),
        inactive_channels=len(channels) - len(active),
    )
