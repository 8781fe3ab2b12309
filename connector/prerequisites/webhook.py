"""Dataverse announces calls to the connector: the webhook steps are there, enabled, and delivered of late."""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import OrganisationFacts, StepFacts
from connector.prerequisites.findings import Finding, error, unknown, warning

_INSTALL = "register the webhook and its steps in Dataverse, for the message that announces it"


def check_organisation(facts: OrganisationFacts) -> Iterator[Finding]:
    """Yields a finding for each thing that is wrong or could not be seen."""
    webhook = facts.webhook
    if webhook is None:
        yield unknown(
            "webhook.not_checked",
            "whether Dataverse announces calls was not looked up",
            "run the validation with --fresh",
            "the webhook steps are read from Dataverse with --fresh only",
        )
        return
    if webhook.refused:
        yield unknown(
            "webhook.not_readable",
            "whether Dataverse announces calls could not be read",
            "see what Dataverse says; the application user needs Read on SDK messages, processing steps, service "
            "endpoints and system jobs",
            webhook.refused,
        )
        return
    ours = [step for step in webhook.steps if facts.public_host in ("", step.host)]
    others = [step for step in webhook.steps if step not in ours]
    for event, code in (("dialled", "webhook.no_dial_step"), ("ended", "webhook.no_end_step")):
        yield from _registered(_on(event, ours), _on(event, others), event, code)
    if ours and not facts.public_host:
        yield unknown(
            "webhook.not_compared",
            "whether the webhook steps lead to this service was not compared",
            "set EMERGENCY_PUBLIC_URL to the address of this service",
            "; ".join(_led(step) for step in ours),
        )
    yield from _failing(ours)


def _on(event: str, steps: list[StepFacts]) -> list[StepFacts]:
    return [step for step in steps if step.event == event]


def _led(step: StepFacts) -> str:
    return f"step {step.name} leads to {step.host or 'no address'}"


def _registered(steps: list[StepFacts], others: list[StepFacts], event: str, code: str) -> Iterator[Finding]:
    """`others` lead elsewhere."""
    if any(step.enabled for step in steps):
        return
    if steps:
        yield error(
            "webhook.step_disabled",
            f"the step that announces a call was {event} is disabled",
            "Plug-in Registration Tool: enable the step",
            "; ".join(f"{_led(step)}: Disabled" for step in steps),
        )
    else:
        # A soft-phone may announce calls over the API instead, which does not show here.
        yield warning(
            code,
            f"no webhook step announces that a call was {event}",
            f"{_INSTALL}; nothing must be done if a soft-phone announces calls over the API",
            "; ".join([f"0 webhook steps of this service on the messages for {event}", *map(_led, others)]),
        )


def _failing(steps: list[StepFacts]) -> Iterator[Finding]:
    failing = [step for step in steps if step.failures]
    if failing:
        yield warning(
            "webhook.failing",
            "Dataverse could not deliver announcements of late",
            "Settings > System Jobs: see the failed jobs; check the address, secret and certificate of the endpoint",
            "; ".join(f"{_led(step)}: {step.failures} failed jobs, last {step.last_failure}" for step in failing),
        )
