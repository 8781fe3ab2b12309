"""P1: the agent has a capacity profile that is tied to a voice outbound profile.

Microsoft's article says no more; the path is read from the tables: user, bookable resource, capacity profile, outbound
work stream, voice channel, phone number. One whole path is enough. If there is none, the finding names the link that
is broken on the path that comes furthest.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts, CapacityProfile, OutboundProfile
from connector.prerequisites.findings import Finding, error

_PROFILES = "admin center > User management > Users: assign an active capacity profile that an outbound profile uses"
_OUTBOUND = "admin center > Channels > Phone numbers > Outbound profiles: "


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields at most one finding."""
    if agent.has_resource is None:
        yield error("capacity.no_resource", "is no bookable resource", "add the user as bookable resource (type User)")
    elif not agent.has_resource:
        yield error("capacity.resource_inactive", "bookable resource is inactive", "activate the bookable resource")
    elif not agent.profiles:
        if agent.inactive_links:
            yield error("capacity.profile_link_inactive", "capacity profile assignments are inactive", _PROFILES)
        else:
            yield error("capacity.no_profile", "has no capacity profile", _PROFILES)
    else:
        broken = [_broken_link(profile) for profile in agent.profiles]
        if all(broken):
            # The longest way to the goal has the fewest things left to mend.
            yield max((link for link in broken if link), key=lambda link: link[0])[1]


def _broken_link(profile: CapacityProfile) -> tuple[int, Finding] | None:
    """How far the path gets and what breaks it, None if it is whole."""
    if not profile.active:
        found = error(
            "capacity.profile_inactive",
            "capacity profile is inactive",
            "activate it, or assign another",
            f"capacity profile {profile.name}",
        )
        return 1, found
    if not profile.outbound_profiles:
        found = error(
            "capacity.no_outbound_profile",
            "capacity profile is tied to no outbound profile",
            _OUTBOUND + "add the capacity profile to one",
            f"capacity profile {profile.name}",
        )
        return 2, found
    links = [_broken_outbound(outbound) for outbound in profile.outbound_profiles]
    if not all(links):
        return None
    return max((link for link in links if link), key=lambda link: link[0])


def _broken_outbound(outbound: OutboundProfile) -> tuple[int, Finding] | None:
    steps = (
        (
            outbound.outbound,
            "capacity.not_outbound",
            "work stream is not for outbound calls",
            "tie it to an outbound one",
        ),
        (outbound.voice, "capacity.not_voice", "work stream is not for voice", "tie it to a voice one"),
        (outbound.active, "capacity.work_stream_inactive", "outbound profile is inactive", "activate it"),
        (
            outbound.has_channel,
            "capacity.no_channel",
            "outbound profile has no voice channel",
            "set up its voice channel",
        ),
        (
            outbound.number is not None,
            "capacity.no_number",
            "outbound profile has no phone number",
            "choose its number",
        ),
        (
            bool(outbound.number and outbound.number.outbound),
            "capacity.number_not_outbound",
            "number of the outbound profile cannot make calls",
            "choose a number whose plan is Make calls",
        ),
    )
    for distance, (whole, code, message, remedy) in enumerate(steps, start=3):
        if not whole:
            return distance, error(code, message, _OUTBOUND + remedy, f"outbound profile {outbound.name}")
    return None
