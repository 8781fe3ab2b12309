"""P3: the agent's mailbox is enabled.

Microsoft does not say which columns make "enabled". Judged here: active, sent by server-side synchronisation, outgoing
e-mail enabled, tested with success, and its address approved.
"""

from __future__ import annotations

from collections.abc import Iterator

from connector.prerequisites.facts import AgentFacts
from connector.prerequisites.findings import Finding, error

_WHERE = "Power Platform admin center > Environment > Settings > Email > Mailboxes: "


def check(agent: AgentFacts) -> Iterator[Finding]:
    """Yields a finding for each thing that is wrong."""
    mailbox = agent.mailbox
    if mailbox is None:
        yield error("mailbox.missing", "has no mailbox", "give the user a primary e-mail address")
        return
    if not mailbox.active:
        yield error("mailbox.inactive", "mailbox is inactive", _WHERE + "activate it")
    if not mailbox.server_side:
        yield error(
            "mailbox.not_server_side",
            "outgoing e-mail is not sent by server-side synchronisation",
            _WHERE + "set Outgoing Email to Server-Side Synchronization",
        )
    if not mailbox.outgoing_enabled:
        yield error(
            "mailbox.outgoing_disabled", "outgoing e-mail is disabled", _WHERE + "enable it for outgoing e-mail"
        )
    if not mailbox.approved:
        yield error("mailbox.not_approved", "e-mail address is not approved", _WHERE + "Approve Email")
    if not mailbox.tested:
        yield error("mailbox.not_tested", "mailbox was never tested", _WHERE + "Test & Enable Mailbox")
    elif not mailbox.test_succeeded:
        yield error(
            "mailbox.test_failed", "the mailbox's test failed", _WHERE + "see its alerts, then Test & Enable Mailbox"
        )
