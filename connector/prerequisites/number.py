"""P4: a number to call from that an emergency call can leave by, and the warning about third-party carriers.

Either a Microsoft calling-plan number, or direct routing with at least one purchased number and no rule that catches
the emergency number. ACS tries its direct-routing rules before it considers a purchased number, so a rule that catches
the emergency number is told for calling-plan numbers too. Which string ACS matches ("911" or "+911") is not documented,
so both are tried.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import lru_cache

from connector.acs.numbers import Route
from connector.prerequisites.facts import AcsFacts, AgentFacts, Carrier, PhoneNumber
from connector.prerequisites.findings import Finding, error, warning

_ROUTES = "Azure portal > Communication Service > Direct routing > Voice routes: "


def check(agent: AgentFacts, acs: AcsFacts) -> Iterator[Finding]:
    """Yields a finding for each thing that is wrong."""
    number = agent.number
    if number is None:
        yield error(
            "number.none",
            "has no number to call from",
            "give the agent a phone number (tab Omnichannel), or an outbound profile whose number can make calls",
            f"own: {agent.personal_number or 'none'}; no outbound profile of the agent works",
        )
        return
    caught = _caught(acs, agent.country.emergency if agent.country else ())
    if number.carrier is Carrier.CALLING_PLAN:
        yield from _calling_plan(number, acs, caught)
    elif number.carrier is Carrier.DIRECT_ROUTING:
        yield from _direct_routing(number, acs, caught)
    else:
        yield error(
            "number.carrier_unknown",
            "who carries the number's calls cannot be told",
            "delete the number in the admin center and add it again",
            str(number),
        )


def _calling_plan(number: PhoneNumber, acs: AcsFacts, caught: tuple[str, ...]) -> Iterator[Finding]:
    owned = acs.purchased.get(number.number)
    if owned is None:
        yield error(
            "number.not_purchased",
            "the ACS resource does not own the agent's number",
            "connect Dynamics to the ACS resource that owns it, or assign another number",
            f"{number}: not among the {len(acs.purchased)} numbers of the ACS resource",
        )
    elif "outbound" not in owned.calling:
        yield error(
            "number.no_outbound",
            "the agent's number cannot make calls",
            "Azure portal > Communication Service > Phone numbers: enable outbound calling",
            f"{number}: calling {owned.calling} at the ACS resource",
        )
    if caught:
        yield warning(
            "routing.catches_calling_plan",
            "a direct-routing rule takes the emergency call away from the calling plan",
            _ROUTES + "let no rule match the emergency number, or agree with the carrier how it handles it",
            "; ".join(caught),
        )


def _direct_routing(number: PhoneNumber, acs: AcsFacts, caught: tuple[str, ...]) -> Iterator[Finding]:
    if acs.routing.trunks == 0:
        yield error(
            "routing.no_trunk",
            "the ACS resource has no direct-routing trunk",
            "Azure portal > Communication Service > Direct routing: add the session border controller",
            "0 trunks",
        )
    if not any("outbound" in owned.calling for owned in acs.purchased.values()):
        yield error(
            "routing.no_purchased_number",
            "the ACS resource owns no number that can make calls, by which an emergency call could leave",
            "Azure portal > Communication Service > Phone numbers: buy at least one number with outbound calling",
            f"{len(acs.purchased)} numbers, none with outbound calling",
        )
    if caught:
        yield error(
            "routing.catches_emergency",
            "a direct-routing rule catches the emergency number",
            _ROUTES + "let no rule match it",
            "; ".join(caught),
        )
    yield warning(
        "carrier.third_party",
        "a third-party carrier carries the agent's calls",
        "agree with the carrier how it handles emergency calls and callbacks",
        str(number),
    )


@lru_cache(maxsize=64)
def _caught(acs: AcsFacts, emergency: tuple[str, ...]) -> tuple[str, ...]:
    """Each emergency number of a country that a rule catches, with the first such rule.

    ACS takes the first rule that matches, in the order of the list. [documented: direct routing]
    """
    caught = []
    for dialled in emergency:
        for position, route in enumerate(acs.routing.routes, start=1):
            if may_match(route, dialled):
                unread = "" if readable(route) else " cannot be read here, so it may match"
                place = f"rule {position} of {len(acs.routing.routes)}"
                caught.append(f"{dialled}: {place}, {route.name} ({route.pattern}){unread}")
                break
    return tuple(caught)


def may_match(route: Route, dialled: str) -> bool:
    """Whether a rule may catch a dialled string. Its pattern is a .NET one: what Python cannot read may match."""
    pattern = _compiled(route.pattern)
    return pattern is None or any(pattern.search(form) for form in (dialled, f"+{dialled}"))


def readable(route: Route) -> bool:
    """Whether Python reads the rule's pattern the way .NET does."""
    return _compiled(route.pattern) is not None


@lru_cache(maxsize=500)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    # Subtraction of character classes is .NET's own; Python reads it as something else.
    if "-[" in pattern:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError, FutureWarning):
        return None
