"""Step 7: tells people through ACS Email."""

from __future__ import annotations

from dataclasses import dataclass

from connector.calls.effects import DeleteSentEmail, Notify, SendFromMailbox, operation_id
from connector.effects.notice import accepted, message_of
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim, Recorded
from connector.errors import ConnectorError, GivenUp
from connector.logs import log
from connector.notifications.message import for_acs


def performers(services: Services) -> Performers:
    """Who sends a message through ACS Email."""
    sending = _Sending(services)
    return {Notify: Performer(sending.perform, sending.last_look)}


@dataclass(frozen=True)
class _Sending:
    services: Services

    def perform(self, claim: Claim[Notify]) -> Recorded:
        """Hands one message to ACS Email, under an operation id that stays the same however often it is tried."""
        effect, email = claim.effect, self.services.email
        message = for_acs(message_of(claim, self.services), email.sender, effect.recipients)
        email.send(message, operation_id(effect), repeated=claim.repeated or effect.attempt > 1)
        if effect.attempt > 1:
            self._withdraw_from_mailbox(claim)
        return accepted(claim, operation_id(effect), self.services)

    def last_look(self, claim: Claim[Notify]) -> Recorded:
        """A message may have been accepted though its answer was lost. Raises GivenUp where ACS does not say so."""
        try:
            known = self.services.email.was_accepted(operation_id(claim.effect))
        except ConnectorError as error:
            log().warning("not_known_whether_accepted", call_id=claim.effect.call_id, problem=str(error))
            known = False
        if not known:
            raise GivenUp("ACS Email does not know the message")
        return accepted(claim, operation_id(claim.effect), self.services)

    def _withdraw_from_mailbox(self, claim: Claim[Notify]) -> None:
        """The mailbox has had its turn before: what still waits there must not leave as a second message."""
        effect = claim.effect
        waiting = SendFromMailbox(effect.call_id, effect.reason, effect.part, effect.recipients, effect.give_up_at)
        withdrawn = DeleteSentEmail(effect.call_id, operation_id(waiting), claim.asked_at, unsent=True)
        self.services.ask([withdrawn], claim.agent_id)
