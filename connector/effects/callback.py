"""Steps 3 and 4: a responder who calls back is put through, and freed numbers are offered to waiting agents."""

from __future__ import annotations

from dataclasses import dataclass

from connector.calls.effects import OfferNumbers, Redirect
from connector.calls.events import NumberFreed
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim
from connector.store import calls


def performers(services: Services) -> Performers:
    """Who redirects calls and offers numbers."""
    callback = _Callback(services)
    return {Redirect: Performer(callback.redirect), OfferNumbers: Performer(callback.offer_numbers)}


@dataclass(frozen=True)
class _Callback:
    services: Services

    def redirect(self, claim: Claim[Redirect]) -> None:
        """Puts the caller through to the agent; ACS does it once, however often it is asked."""
        self.services.calls.redirect(claim.effect.context, claim.effect.target, claim.id)

    def offer_numbers(self, _claim: Claim[OfferNumbers]) -> None:
        """Lets every waiting agent take a number, the longest waiting first."""
        now = self.services.clock.now()
        with self.services.store.read() as connection:
            waiting = calls.waiting(connection, now)
        for agent_id in waiting:
            self.services.handle(NumberFreed(agent_id, now))
