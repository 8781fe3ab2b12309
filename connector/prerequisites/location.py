"""P2: the browser's location is on, in a supported country.

Dataverse holds nothing about the browser, so what can be seen from here is the country of the agent's number and
address. Whether the browser tells a location is attested: the agent's page reports it, and the report is good for a
set number of days.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts, LocationCheck
from connector.prerequisites.findings import Finding, error, unknown, warning

_ALLOW = "in the browser's settings for the Dynamics site, set Location to Allow, then run the location check again"
_RUN = "let the agent open the location check in the browser they work in"


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields findings for the country that Dynamics knows, and for what the browser said."""
    if agent.country is None:
        yield error(
            "location.country_unsupported",
            "is in no country where emergency calls are supported",
            "correct the country of the agent's number or address, or agree another way to call for help",
            f"country of number or address: {agent.country_told or 'none given'}",
        )
    attested = agent.location_check
    if agent.country and agent.address_elsewhere and not _proven(attested):
        # A warning only: the name may be one that is not listed, or the address that of the head office.
        yield warning(
            "location.address_unsupported",
            "address is in no country where emergency calls are supported, though the number is",
            "correct the address, or let the agent open the location check in the browser they work in",
            f"country of the address: {agent.address_elsewhere}; of the number: {agent.country.code}",
        )
    if attested is None:
        yield unknown(
            "location.not_attested",
            "no browser of the agent has reported its location",
            _RUN,
            f"0 location checks; country {agent.country.code if agent.country else agent.country_told or 'unknown'}",
        )
    elif attested.expired:
        yield unknown("location.expired", "the last location check is too old", _RUN, _told(attested))
    else:
        yield from _attested(agent, attested)


def _attested(agent: AgentFacts, attested: LocationCheck) -> Iterator[Finding]:
    told = _told(attested)
    if attested.permission == "denied":
        yield error("location.denied", "the browser is not allowed to tell its location", _ALLOW, told)
    elif attested.permission == "prompt":
        yield warning("location.not_allowed_yet", "the browser would ask before it tells its location", _ALLOW, told)
    elif not attested.country_told:
        yield unknown("location.country_not_found", "the location check found no country", _RUN, told)
    elif attested.country is None:
        yield error(
            "location.browser_country_unsupported",
            "works in a country where emergency calls are not supported",
            "agree another way to call for help; behind a VPN, let its traffic leave in the agent's country",
            told,
        )
    else:
        yield from _granted(agent, attested, told)


def _granted(agent: AgentFacts, attested: LocationCheck, told: str) -> Iterator[Finding]:
    if agent.country and attested.country and attested.country.code != agent.country.code:
        yield warning(
            "location.other_country",
            "works in another country than the agent's number is of",
            "give the agent a number of the country they work in, or correct the address",
            f"{told}; number or address: {agent.country.code}",
        )
    if attested.accuracy == "coarse":
        yield warning(
            "location.coarse",
            "the browser knows its location only roughly, as without Wi-Fi or behind a VPN",
            "turn on Wi-Fi and precise location in the operating system, then run the location check again",
            told,
        )


def _proven(attested: LocationCheck | None) -> bool:
    """Whether the browser itself says that it is in a supported country: that outweighs any address."""
    return attested is not None and not attested.expired and attested.country is not None


def _told(attested: LocationCheck) -> str:
    where = f", country {attested.country_told}" if attested.country_told else ""
    return f"checked {attested.at:%Y-%m-%d %H:%M} UTC: {attested.permission}{where}, accuracy {attested.accuracy}"
