"""Steps 3 and 4: a responder who calls back is put through; numbers that fall free go to who waits for one."""

from __future__ import annotations

from connector.acs.calls import Calls
from connector.calls.effects import Redirect
from connector.calls.events import NumberFreed
from connector.desk import Desk
from connector.store import calls
from connector.store.outbox import Claim


class Callbacks:
    """Performs the effects on callback numbers."""

    def __init__(self, desk: Desk, acs: Calls) -> None:
        self._desk = desk
        self._acs = acs

    def redirect(self, claim: Claim, effect: Redirect) -> None:
        """Puts the caller through to the agent; ACS does it once, however often it is asked."""
        self._acs.redirect(effect.context, effect.target, claim.id)

    def offer_numbers(self) -> None:
        """Lets every waiting agent take a number, the longest waiting first."""
        now = self._desk.clock.now()
        with self._desk.store.read() as connection:
            waiting = calls.waiting(connection, now)
        for agent_id in waiting:
            self._desk.handle(NumberFreed(agent_id, now))
