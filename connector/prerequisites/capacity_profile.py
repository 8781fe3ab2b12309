"""P1: the agent has a capacity profile that is tied to a voice outbound profile.

Microsoft's article says no more; the path is read from the tables: user, bookable resource, capacity profile, outbound
work stream, voice channel, phone number. One whole path is enough. If there is none, the finding names the link that
is broken on the path that comes furthest.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts, CapacityProfile, OutboundProfile
from connector.prerequisites.findings import Finding, error

_RESOURCES = "admin center > User management > Users: "
_PROFILES = "admin center > User management > Users: assign an active capacity profile that an outbound profile uses"
_OUTBOUND = "admin center > Channels > Phone numbers > Outbound profiles: "


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields at most one finding."""
    if agent.has_resource is None:
        yield error(
            "capacity.no_resource",
            "is no bookable resource",
            _RESOURCES + "enable the user for Omnichannel, or add a bookable resource of type User",
            f"user {agent.email or agent.name}: no bookable resource of type User",
        )
    elif not agent.has_resource:
        yield error(
            "capacity.resource_inactive",
            "bookable resource is inactive",
            "Resources > Bookable resources: activate it",
            f"bookable resource of {agent.email or agent.name}: Inactive",
        )
    elif not agent.profiles:
        yield _no_profile(agent)
    else:
        broken = [_broken_link(profile) for profile in agent.profiles]
        if all(broken):
            # The longest way to the goal has the fewest things left to mend.
            yield max((link for link in broken if link), key=lambda link: link[0])[1]


def _no_profile(agent: AgentFacts) -> Finding:
    if agent.inactive_links:
        return error(
            "capacity.profile_link_inactive",
            "capacity profile assignments are inactive",
            _PROFILES,
            f"{agent.inactive_links} assignments, all Inactive",
        )
    return error("capacity.no_profile", "has no capacity profile", _PROFILES, "0 assignments of capacity profiles")


def _broken_link(profile: CapacityProfile) -> tuple[int, Finding] | None:
    """How far the path gets and what breaks it, None if it is whole."""
    if not profile.active:
        found = error(
            "capacity.profile_inactive",
            "capacity profile is inactive",
            "admin center > User management > Capacity profiles: activate it, or assign another",
            f"capacity profile {profile.name}: Inactive",
        )
        return 1, found
    if not profile.outbound_profiles:
        found = error(
            "capacity.no_outbound_profile",
            "capacity profile is tied to no outbound profile",
            _OUTBOUND + "add the capacity profile to one",
            f"capacity profile {profile.name}: 0 work streams",
        )
        return 2, found
    links = [_broken_outbound(profile, outbound) for outbound in profile.outbound_profiles]
    if not all(links):
        return None
    return max((link for link in links if link), key=lambda link: link[0])


def _broken_outbound(profile: CapacityProfile, outbound: OutboundProfile) -> tuple[int, Finding] | None:
    """The first broken link of an outbound profile, counted on from the capacity profile's own two."""
    if outbound.works:
        return None
    number = outbound.number
    direction = f"direction {outbound.direction or 'unknown'}"
    channels = f"0 active voice channels, {outbound.inactive_channels} inactive"
    # Whole?, code, message, remedy, what decided.
    steps = (
        (outbound.outbound, "capacity.not_outbound",
         "work stream is not for outbound calls", "choose an outbound one", direction),
        (outbound.voice, "capacity.not_voice",
         "work stream is not for voice", "choose one of type Voice", "type is not Voice"),
        (outbound.active, "capacity.work_stream_inactive",
         "outbound profile is inactive", "activate it", "Inactive"),
        (outbound.has_channel or outbound.inactive_channels > 0, "capacity.no_channel",
         "outbound profile has no voice channel", "set up its voice channel", channels),
        (outbound.has_channel, "capacity.channel_inactive",
         "voice channel is inactive", "activate its voice channel", channels),
        (number is not None, "capacity.no_number",
         "outbound profile has no phone number", "choose its number", "voice channel without a number"),
        (bool(number and number.active), "capacity.number_inactive",
         "number of the outbound profile is inactive", "choose another number", str(number)),
        (bool(number and number.outbound), "capacity.number_not_outbound",
         "number of the outbound profile cannot make calls", "choose a number whose plan is Make calls", str(number)),
    )  # fmt: skip
    for distance, (whole, code, message, remedy, decided) in enumerate(steps, start=3):
        if not whole:
            evidence = f"capacity profile {profile.name} > outbound profile {outbound.name}: {decided}"
            return distance, error(code, message, _OUTBOUND + remedy, evidence)
    return None
