"""What findings rest on: that rows are absent proves nothing where their table was never read whole.

Such a finding is unknown instead, told once for each prerequisite. What rows that were read say stays said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from connector.prerequisites.codes import prerequisite
from connector.prerequisites.findings import Finding, unknown

ACS = "acs"
"""Stands among the tables for the numbers and the routes of the ACS resource."""
_RESOURCES = ("resources",)
_PROFILES = (*_RESOURCES, "resource_profiles", "capacity_profiles")
_WORK_STREAMS = (*_PROFILES, "work_stream_profiles", "work_streams")
_CHANNELS = (*_WORK_STREAMS, "voice_channels")
_NUMBERS = (*_CHANNELS, "phone_numbers")
# The path to the number is followed as far as it goes, so what breaks it rests on every table up to there.
_RESTS_ON = {
    "capacity.no_resource": _RESOURCES,
    "capacity.resource_inactive": _RESOURCES,
    "capacity.no_profile": _PROFILES,
    "capacity.profile_link_inactive": _PROFILES,
    "capacity.profile_inactive": _PROFILES,
    "capacity.no_outbound_profile": _WORK_STREAMS,
    "capacity.not_outbound": _WORK_STREAMS,
    "capacity.not_voice": _WORK_STREAMS,
    "capacity.work_stream_inactive": _WORK_STREAMS,
    "capacity.no_channel": _CHANNELS,
    "capacity.channel_inactive": _CHANNELS,
    "capacity.no_number": _NUMBERS,
    "capacity.number_inactive": _NUMBERS,
    "capacity.number_not_outbound": _NUMBERS,
    "location.country_unsupported": ("phone_numbers",),
    "location.other_country": ("phone_numbers",),
    "mailbox.missing": ("mailboxes",),
    "number.none": _NUMBERS,
    "number.not_purchased": ("phone_numbers", ACS),
    "number.no_outbound": ("phone_numbers",),
    "routing.no_trunk": (ACS,),
    "routing.no_purchased_number": (ACS,),
    # The sync fills the pool only where it knows what ACS owns and which of it Dynamics uses.
    "pool.empty": (ACS, "phone_numbers"),
    "template.missing": ("templates",),
}
_NOT_JUDGED = {
    "capacity.not_judged": "the capacity profile could not be judged",
    "location.not_judged": "the country could not be judged",
    "mailbox.not_judged": "the mailbox could not be judged",
    "number.not_judged": "the phone number could not be judged",
    "routing.not_judged": "the call routing could not be judged",
    "pool.not_judged": "the callback number could not be judged",
    "template.not_judged": "the notification template could not be judged",
}


def judged(findings: Iterable[Finding], unread: Mapping[str, str]) -> Iterator[Finding]:
    """The findings, those that rest on an unread table replaced. `unread`: how people know each such table, by name."""
    lacking: dict[str, dict[str, None]] = defaultdict(dict)
    for finding in findings:
        names = [unread[table] for table in _RESTS_ON.get(finding.code, ()) if table in unread]
        if names:
            lacking[f"{prerequisite(finding.code)}.not_judged"] |= dict.fromkeys(names)
        else:
            yield finding
    for code, tables in lacking.items():
        yield unknown(
            code,
            _NOT_JUDGED[code],
            "see what keeps the sync from reading the table, then run `emergency-connector sync`",
            f"never read whole: {', '.join(tables)}",
        )
