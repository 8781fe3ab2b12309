"""Step 7 by the second channel: Dataverse sends the message from the agent's own mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connector.calls.effects import DeleteSentEmail, SendFromMailbox, operation_id
from connector.effects.notice import accepted, message_of
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim, Recorded
from connector.errors import ConnectorError, GivenUp, NotFound, RetryLater
from connector.logs import log

SENT_EMAIL_KEPT = timedelta(minutes=10)
"""How long the row of an e-mail that was sent stays in Dataverse."""
UNSENT_EMAIL_KEPT = timedelta(minutes=60)
"""How long one that was not sent stays there, at most: on the day when the mailbox is mended, all that waits in it
leaves at once, which would be a stale alarm. Its notice goes on by the other channel, or is reported lost."""
SECONDS = 15.0
PENDING_SECONDS = 5.0


def performers(services: Services) -> Performers:
    """Who sends from a mailbox, and who tidies up after it."""
    mailbox = _Mailbox(services)
    return {
        SendFromMailbox: Performer(mailbox.send, mailbox.last_look),
        DeleteSentEmail: Performer(mailbox.delete),
    }


@dataclass(frozen=True)
class _Mailbox:
    services: Services

    def send(self, claim: Claim[SendFromMailbox]) -> Recorded:
        """Lets Dataverse send the message; done once it has left the mailbox, which `SendEmail` does not promise.

        The row's id stays the same however often it is tried, so there is one row, and it is sent once.
        """
        names, email_id = self.services.mappings.email, operation_id(claim.effect)
        self.services.dataverse.create_once(names["set"], {names["id"]: email_id, **self._row(claim)})
        status = self._status(email_id)
        if status == names["draft_status"]:
            sending = f"{names['set']}({email_id})/{names['send_action']}"
            self.services.dataverse.act(sending, {"IssueSend": True}, timeout=SECONDS)
            status = self._status(email_id)
        if status != names["sent_status"]:
            # An agent's mailbox that is not ready after all keeps it as pending, without an event.
            raise RetryLater("the message has not left the agent's mailbox yet", retry_after=PENDING_SECONDS)
        return self._sent(claim)

    def last_look(self, claim: Claim[SendFromMailbox]) -> Recorded:
        """It may have left meanwhile. Else the other channel has its turn, and what waits is deleted in the end.

        Raises GivenUp.
        """
        email_id = operation_id(claim.effect)
        try:
            sent = self._status(email_id) == self.services.mappings.email["sent_status"]
        except ConnectorError as error:
            log().warning("not_known_whether_sent", call_id=claim.effect.call_id, problem=str(error))
            sent = False
        if not sent:
            self._ask_to_delete(claim, UNSENT_EMAIL_KEPT, unsent=True)
            raise GivenUp("the message did not leave the agent's mailbox in time")
        return self._sent(claim)

    def delete(self, claim: Claim[DeleteSentEmail]) -> None:
        """Deletes the row that the second channel left: once it has been sent, or, if asked to, unsent."""
        names, effect = self.services.mappings.email, claim.effect
        try:
            sent = self._status(effect.email_id) == names["sent_status"]
        except NotFound:
            return
        if not (sent or effect.unsent):
            seconds = SENT_EMAIL_KEPT.total_seconds()
            raise RetryLater("the message has not left the agent's mailbox yet", retry_after=seconds)
        self.services.dataverse.delete(names["set"], effect.email_id)

    def _sent(self, claim: Claim[SendFromMailbox]) -> Recorded:
        self._ask_to_delete(claim, SENT_EMAIL_KEPT)
        return accepted(claim, operation_id(claim.effect), self.services)

    def _ask_to_delete(self, claim: Claim[SendFromMailbox], after: timedelta, *, unsent: bool = False) -> None:
        # Counted from when this turn was asked for: a turn that is performed twice asks for the same.
        due, email_id = claim.asked_at + after, operation_id(claim.effect)
        self.services.ask([DeleteSentEmail(claim.effect.call_id, email_id, due, unsent)], claim.agent_id)

    def _status(self, email_id: str) -> Any:
        """The status of the row, a choice of Dataverse. Raises NotFound and other ConnectorErrors."""
        names = self.services.mappings.email
        row = self.services.dataverse.get(f"{names['set']}({email_id})?$select={names['status']}", timeout=SECONDS)
        return row.get(names["status"])

    def _row(self, claim: Claim[SendFromMailbox]) -> dict[str, Any]:
        message, names = message_of(claim, self.services), self.services.mappings.email
        sender = f"/{self.services.mappings.tables['agents'].set}({claim.agent_id})"
        return {
            names["subject"]: message.subject,
            names["body"]: message.html,
            names["direction"]: True,
            names["parties"]: [
                {names["sender"]: sender, names["role"]: names["from_role"]},
                *({names["address"]: address, names["role"]: names["to_role"]} for address in claim.effect.recipients),
            ],
        }
