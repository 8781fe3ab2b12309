"""P3: the agent's mailbox is enabled. `connector/directory/mailbox.py` says what that means."""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts
from connector.prerequisites.findings import Finding, error

_WHERE = "Power Platform admin center > Environment > Settings > Email > Mailboxes: "


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields a finding for each thing that is wrong."""
    mailbox, whose = agent.mailbox, agent.email or agent.name
    if mailbox is None:
        yield error(
            "mailbox.missing",
            "has no mailbox",
            "Power Platform admin center > Users: give the user a primary e-mail address",
            f"user {whose}: no mailbox",
        )
        return
    steps = (
        (mailbox.active, "mailbox.inactive", "mailbox is inactive", "activate it", "Inactive"),
        (
            mailbox.server_side,
            "mailbox.not_server_side",
            "outgoing e-mail is not sent by server-side synchronisation",
            "set Outgoing Email to Server-Side Synchronization",
            f"Outgoing Email: {mailbox.method or 'not set'}",
        ),
        (
            mailbox.outgoing_enabled,
            "mailbox.outgoing_disabled",
            "outgoing e-mail is disabled",
            "enable it for outgoing e-mail",
            "enabled for outgoing e-mail: No",
        ),
        (
            mailbox.approved,
            "mailbox.not_approved",
            "e-mail address is not approved",
            "Approve Email",
            f"approval: {mailbox.approval or 'not set'}, approved by the Office 365 administrator: No",
        ),
        (
            mailbox.tested,
            "mailbox.not_tested",
            "mailbox was never tested",
            "Test & Enable Mailbox",
            "outgoing test: Not Run",
        ),
        (
            mailbox.test_succeeded or not mailbox.tested,
            "mailbox.test_failed",
            "the mailbox's test failed",
            "see its alerts, then Test & Enable Mailbox",
            "outgoing test: Failure",
        ),
    )
    for whole, code, message, remedy, decided in steps:
        if not whole:
            yield error(code, message, _WHERE + remedy, f"mailbox of {whose}: {decided}")
