"""Sends messages: through ACS Email, or from the agent's own mailbox where that fails."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from connector.acs.email import Email
from connector.calls.decide import packed
from connector.calls.effects import (
    DeleteSentEmail,
    Notify,
    SendFromMailbox,
    TellAdministrators,
    derive_id,
    operation_id,
)
from connector.calls.model import Call, Lease
from connector.dataverse.client import Dataverse
from connector.desk import Desk
from connector.directory.reader import Directory, if_readable
from connector.errors import BadData, GivenUp, NotFound, RetryLater
from connector.logs import log
from connector.mappings import Mappings
from connector.metrics import notes, recipients_skipped
from connector.notifications import drift
from connector.notifications.message import Message, Notice, compose, for_acs
from connector.settings import Settings
from connector.store import calls, validations
from connector.store.outbox import Claim, Recorded

SENT_EMAIL_KEPT = timedelta(minutes=10)
"""How long an e-mail row may take to leave the agent's mailbox before it is first tried to be deleted."""
MAILBOX_SECONDS = 15.0
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
        """Hands one message to ACS Email, under an operation id that stays the same however often it is tried."""
        message = for_acs(self._message(claim.agent_id, effect), self._email.sender, effect.recipients)
        self._email.send(message, operation_id(effect), repeated=claim.repeated or effect.attempt > 1)
        return self._accepted(effect)

    def was_accepted(self, effect: Notify) -> Recorded:
        """Raises GivenUp unless ACS Email knows the message. For an answer that was lost."""
        if not self._email.was_accepted(operation_id(effect)):
            raise GivenUp("ACS Email does not know the message")
        return self._accepted(effect)

    def send_from_mailbox(self, claim: Claim, effect: SendFromMailbox) -> Recorded:
        """Lets Dataverse send the message from the agent's mailbox.

        The row's id stays the same however often it is tried, so there is one row, and it is sent once; it is deleted
        later.
        """
        names, email_id = self._mappings.email, operation_id(effect)
        self._dataverse.create_once(names["set"], {names["id"]: email_id, **self._row(claim.agent_id, effect)})
        row = self._dataverse.get(f"{names['set']}({email_id})?$select={names['status']}", timeout=MAILBOX_SECONDS)
        if row.get(names["status"]) == names["draft_status"]:
            sending = f"{names['set']}({email_id})/{names['send_action']}"
            self._dataverse.act(sending, {"IssueSend": True}, timeout=MAILBOX_SECONDS)
        due = self._desk.clock.now() + SENT_EMAIL_KEPT
        self._desk.ask([DeleteSentEmail(effect.call_id, email_id, due)], claim.agent_id)
        return self._accepted(effect)

    def _row(self, agent_id: str, effect: SendFromMailbox) -> dict[str, Any]:
        message, names = self._message(agent_id, effect), self._mappings.email
        sender = f"/{self._mappings.tables['agents'].set}({agent_id})"
        return {
            names["subject"]: message.subject,
            names["body"]: message.html,
            names["direction"]: True,
            names["parties"]: [
                {names["sender"]: sender, names["role"]: names["from_role"]},
                *({names["address"]: address, names["role"]: names["to_role"]} for address in effect.recipients),
            ],
        }

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

    def tell_administrators(self, claim: Claim, effect: TellAdministrators) -> None:
        """Mails what a validation found, under the effect's own id: never twice. Then the administrators know it."""
        database = self._desk.directory.database
        with database.read() as connection:
            found = validations.find(connection, effect.call_id)
        if found is None:
            raise BadData("the validation is not kept any more: a later one tells what changed")
        run, changes = found
        if run.told:  # the process was killed before it could mark the effect done
            return
        names = self._directory.names({change.agent_id for change in changes})
        message = drift.compose(run, changes, names)
        for part, recipients in enumerate(packed(effect.recipients)):
            message_id = derive_id(claim.id, str(part))
            self._email.send(for_acs(message, self._email.sender, recipients), message_id, repeated=claim.repeated)
        # In the directory's database, before the effect is done: a crash between the two repeats a mail under its id.
        with database.write() as connection:
            validations.mark_told(connection, run.id)

    def _accepted(self, effect: Notify | SendFromMailbox) -> Recorded:
        at, count = self._desk.clock.now(), len(effect.recipients)
        return lambda connection: calls.record_message(connection, operation_id(effect), effect.call_id, count, at)

    def _message(self, agent_id: str, effect: Notify | SendFromMailbox) -> Message:
        with self._desk.store.read() as connection:
            found = calls.find(connection, effect.call_id)
        if found is None:
            raise BadData("the call is forgotten, so there is nothing to tell of")
        template = if_readable(lambda: self._directory.template(self._title))
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
        agent = if_readable(lambda: self._directory.agent(agent_id))
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
