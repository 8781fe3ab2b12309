"""Sends messages: through ACS Email, or from the agent's own mailbox where that fails."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.acs.email import Email
from connector.calls.effects import DeleteSentEmail, Notify, SendFromMailbox
from connector.calls.model import Call, Lease
from connector.dataverse.client import Dataverse
from connector.desk import Desk
from connector.directory.reader import Directory
from connector.errors import BadData, NotFound, RetryLater
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import notes, recipients_skipped
from connector.notifications.message import Message, Notice, compose, for_acs
from connector.settings import Settings
from connector.store import calls
from connector.store.outbox import Claim, Recorded

SENT_EMAIL_KEPT = timedelta(minutes=10)
"""How long an e-mail row may take to leave the agent's mailbox before it is first tried to be deleted."""
PENDING_EMAIL_KEPT = timedelta(minutes=50)
"""How long after that it may still wait there, before it is deleted unsent."""


class Notifier:
    """Performs the effects that tell people."""

    def __init__(self, desk: Desk, email: Email, dataverse: Dataverse, mappings: Mappings, settings: Settings) -> None:
        self._desk = desk
        self._directory: Directory = desk.directory
        self._email = email
        self._dataverse = dataverse
        self._mappings = mappings
        self._title = settings.template_title

    def notify(self, claim: Claim, effect: Notify) -> Recorded:
        """Hands one message to ACS Email, under an operation id that is the effect's own."""
        message = self._message(claim.agent_id, effect)
        self._email.send(
            for_acs(message, self._email.sender, effect.recipients),
            claim.id,
            repeated=claim.attempts > 0 or claim.fence > 1,
        )
        return self._accepted(claim.id, effect)

    def send_from_mailbox(self, claim: Claim, effect: SendFromMailbox) -> Recorded:
        """Lets Dataverse send the message from the agent's mailbox.

        The row's id is the effect's own, so a repetition makes no second row; the row is deleted later.
        """
        message = self._message(claim.agent_id, effect)
        names = self._mappings.email
        row = {
            names["id"]: claim.id,
            names["subject"]: message.subject,
            names["body"]: message.html,
            names["direction"]: True,
            names["parties"]: [
                {
                    names["sender"]: f"/{self._mappings.tables['agents'].set}({claim.agent_id})",
                    names["role"]: names["from_role"],
                },
                *({names["address"]: address, names["role"]: names["to_role"]} for address in effect.recipients),
            ],
        }
        self._dataverse.create_once(names["set"], row)
        self._dataverse.act(f"{names['set']}({claim.id})/{names['send_action']}", {"IssueSend": True})
        due = self._desk.clock.now() + SENT_EMAIL_KEPT
        self._desk.ask([DeleteSentEmail(effect.call_id, claim.id, due)], claim.agent_id)
        return self._accepted(claim.id, effect)

    def delete_sent_email(self, _claim: Claim, effect: DeleteSentEmail) -> None:
        """Deletes the row that the second channel left, once it has been sent.

        A mail that still waits in a broken mailbox is deleted too in the end: it would leave as a stale alarm on the
        day when the mailbox is mended.
        """
        names = self._mappings.email
        try:
            row = self._dataverse.get(f"{names['set']}({effect.email_id})?$select={names['status']}")
        except NotFound:
            return
        waited = self._desk.clock.now() - effect.due
        if row.get(names["status"]) != names["sent_status"] and waited < PENDING_EMAIL_KEPT:
            seconds = SENT_EMAIL_KEPT.total_seconds()
            raise RetryLater("the message has not left the agent's mailbox yet", retry_after=seconds)
        self._dataverse.delete(names["set"], effect.email_id)

    def _accepted(self, operation_id: str, effect: Notify | SendFromMailbox) -> Recorded:
        at, count = self._desk.clock.now(), len(effect.recipients)
        return lambda connection: calls.record_message(connection, operation_id, effect.call_id, count, at)

    def _message(self, agent_id: str, effect: Notify | SendFromMailbox) -> Message:
        with self._desk.store.read() as connection:
            found = calls.find(connection, effect.call_id)
        if found is None:
            raise BadData("the call is forgotten, so there is nothing to tell of")
        template = self._directory.template(self._title)
        body = (template.body or template.html) if template else ""
        message = compose(
            self._notice(agent_id, effect, *found),
            template.subject if template else "",
            body,
            entity=self._mappings.choices["template_entity"],
        )
        for shortfall in message.shortfalls:
            notes.labels(shortfall).inc()
            log().warning("message_degraded", note=shortfall, call_id=effect.call_id)
        return message

    def _notice(self, agent_id: str, effect: Notify | SendFromMailbox, call: Call, lease: Lease | None) -> Notice:
        agent = self._directory.agent(agent_id)
        if agent and agent.invalid_recipients:
            recipients_skipped.inc(agent.invalid_recipients)
        country = self._mappings.country(call.country) or self._mappings.country(agent.country if agent else None)
        return Notice(
            reason=effect.reason,
            drill=call.drill,
            agent_name=agent.name if agent else None,
            agent_number=agent.number if agent else None,
            agent_attributes=agent.attributes if agent else {},
            dialled=call.dialled,
            dialled_at=call.dialled_at,
            location=call.location,
            country=country.names[0] if country else call.country,
            callback_number=lease.number if lease else call.platform_number,
            callback_until=_until(lease),
        )


def _until(lease: Lease | None) -> datetime | None:
    return lease.expires_at if lease else None
