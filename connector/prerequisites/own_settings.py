"""What the connector's own settings must hold for the notice: a usable sender, and somebody to fall back on."""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import OrganisationFacts
from connector.prerequisites.findings import Finding, error, warning

AZURE_MANAGED = ".azurecomm.net"
"""Domains of Microsoft's own; they may send 5 messages a minute and 10 an hour. [documented: ACS Email limits]"""


def check_organisation(facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields findings about the sender and the fallback; none where the notice is left to Dynamics.

    Whether a domain is verified and linked shows nowhere but in a refused message.
    """
    if "notification" in facts.left_to_dynamics:
        return
    if facts.sender is not None:
        yield from _sender(facts.sender)
    if facts.fallback_recipients is False:
        yield warning(
            "recipients.no_fallback",
            "nobody is told of calls by agents who are unknown or have no recipients",
            "set EMERGENCY_FALLBACK_RECIPIENTS",
            "EMERGENCY_FALLBACK_RECIPIENTS: not set",
        )


def _sender(sender: str) -> Iterator[Finding]:
    told = f"EMERGENCY_EMAIL_SENDER: {sender or 'not set'}"
    if not sender:
        yield error("sender.missing", "no sender is set, so ACS sends no notice", "set EMERGENCY_EMAIL_SENDER", told)
    elif sender.lower().endswith(AZURE_MANAGED):
        yield warning(
            "sender.azure_managed",
            "the sender's domain is Microsoft's own, which may send 10 messages an hour",
            "Azure portal > Email Communication Service > Domains: add and verify a domain of your own",
            told,
        )
