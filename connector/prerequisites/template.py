"""The notification template: there, renders for the agent, and names the callback number and the location.

A missing or broken template does not stop the message: a standard text takes its place, and a standard block is added
where the template names no callback number or no location. So these are warnings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from connector.errors import BadData
from connector.notifications.message import CALL_ENTITY
from connector.notifications.template import render
from connector.prerequisites.facts import AgentFacts, OrganisationFacts, TemplateFacts
from connector.prerequisites.findings import Finding, warning

_WHERE = "Power Apps > Settings > Templates > Email Templates: "
_CALLBACK, _LOCATION = "+12025550100", "Example Street 1, Example Town"
_CALL = {
    "kind": "Emergency call",
    "agent": "An agent",
    "diallednumber": "911",
    "dialledon": "2026-01-01 00:00:00 UTC",
    "callbacknumber": _CALLBACK,
    "location": _LOCATION,
    "country": "US",
}
_PROGRAMME = re.compile(r"terminate|call-template|apply-templates|for-each|xsl:include|xsl:import|document\(")


def check_organisation(facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields at most two findings about the template itself."""
    template = facts.template
    if template is None:
        yield warning(
            "template.missing",
            "the notification template is missing, so a standard text is sent",
            _WHERE + "create it under this title, or name another in EMERGENCY_TEMPLATE_TITLE",
            f"no template titled {facts.template_title}",
        )
        return
    try:
        text = _rendered(template, {})
    except BadData as problem:
        yield warning(
            "template.broken",
            "the notification template cannot be rendered, so a standard text is sent",
            _WHERE + "correct its text",
            f"template {template.title}: {problem}",
        )
        return
    if _CALLBACK not in text or _LOCATION not in text:
        missing = [
            what for what, value in (("callback number", _CALLBACK), ("location", _LOCATION)) if value not in text
        ]
        yield warning(
            "template.standard_block",
            "the template does not name all that responders need, so a standard block is added to each message",
            _WHERE + f"nothing must be done; to place them yourself, name {CALL_ENTITY}/callbacknumber and "
            f"{CALL_ENTITY}/location",
            f"template {template.title}: without {' and '.join(missing)}",
        )


def check(agent: AgentFacts, facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields a finding if the template renders, but not with this agent's data."""
    template = facts.template
    if template is None or not _renders(template, frozenset()):
        return
    if not _renders(template, _decisive(template, agent.attributes)):
        yield warning(
            "template.broken_for_agent",
            "the notification template cannot be rendered with the agent's data, so a standard text is sent",
            _WHERE + "correct its text, or the agent's address and names",
            f"template {template.title}; filled columns: {', '.join(sorted(agent.attributes)) or 'none'}",
        )


def _decisive(template: TemplateFacts, attributes: Mapping[str, str]) -> frozenset[tuple[str, str]]:
    """What of an agent can decide whether the template renders.

    Ordinary templates ask only which columns are filled, and whoever fills the same ones need not be rendered again;
    one that can stop by itself, or calls parts of itself, is rendered with everybody's own values.
    """
    if _is_programme(template):
        return frozenset(attributes.items())
    return frozenset((name, "x") for name, value in attributes.items() if value)


@lru_cache(maxsize=8)
def _is_programme(template: TemplateFacts) -> bool:
    return _PROGRAMME.search(template.subject + template.body) is not None


@lru_cache(maxsize=1000)
def _renders(template: TemplateFacts, attributes: frozenset[tuple[str, str]]) -> bool:
    try:
        _rendered(template, dict(attributes))
    except BadData:
        return False
    return True


def _rendered(template: TemplateFacts, attributes: Mapping[str, str]) -> str:
    """The body. Raises BadData where it or the subject cannot be rendered."""
    data = {template.entity: attributes, CALL_ENTITY: _CALL}
    render(template.subject, data, escape=False)
    return render(template.body, data, escape=True)
