"""What rings by the clock: the end of a window, and the guardian of a call whose end was never announced."""

from __future__ import annotations

from dataclasses import dataclass

from connector.calls.effects import CloseWindow, GuardCall
from connector.calls.events import CallOverdue, LeaseExpired
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim
from connector.errors import RetryLater


def performers(services: Services) -> Performers:
    """Who deals with timers that have rung."""
    timers = _Timers(services)
    return {CloseWindow: Performer(timers.close_window), GuardCall: Performer(timers.guard)}


@dataclass(frozen=True)
class _Timers:
    services: Services

    def close_window(self, claim: Claim[CloseWindow]) -> None:
        """Lets `decide` close the window of the agent's calls. Raises RetryLater if it is not over."""
        now = self.services.clock.now()
        outcome = self.services.handle(LeaseExpired(claim.agent_id, now))
        window = outcome.state.window_ends_at if outcome.state else None
        if "window_not_over" in outcome.notes and window:
            # The clock was set back, or a second call extends the window: rings again when it is over.
            raise RetryLater("the window is not over yet", retry_after=(window - now).total_seconds())

    def guard(self, claim: Claim[GuardCall]) -> None:
        """Lets `decide` close the call if it is still open."""
        self.services.handle(CallOverdue(claim.agent_id, claim.effect.call_id, self.services.clock.now()))
