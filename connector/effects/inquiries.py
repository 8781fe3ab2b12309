"""Asks Dataverse for what an announcement left open: an agent whom the directory does not know, or a row's parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connector.announcements import accept
from connector.announcements.accept import Ignored
from connector.calls.effects import LookUpAgent, ReadAnnouncement
from connector.calls.events import AgentLookedUp, Dialled, Ended
from connector.directory.lookup import fetch_agent
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim
from connector.errors import AuthenticationError, ConnectorError, RetryLater
from connector.logs import log, where
from connector.metrics import decisions

READ_SECONDS = 5.0


def performers(services: Services) -> Performers:
    """Who looks up agents and reads announcements again."""
    inquiries = _Inquiries(services)
    return {LookUpAgent: Performer(inquiries.look_up), ReadAnnouncement: Performer(inquiries.read_announcement)}


@dataclass(frozen=True)
class _Inquiries:
    services: Services

    def look_up(self, claim: Claim[LookUpAgent]) -> None:
        """One try within the budget: a message to the fallback recipients now is better than a perfect one later."""
        services, call_id = self.services, claim.effect.call_id
        directory, seconds = services.directory.database, services.settings.agent_lookup_seconds
        try:
            fetch_agent(services.dataverse, directory, services.mappings, claim.agent_id, seconds)
        except ConnectorError as error:
            log().warning("agent_not_fetched", call_id=call_id, problem=str(error))
        except Exception as error:  # noqa: BLE001 (whatever ails the directory, somebody must be told now)
            log().error("agent_not_stored", call_id=call_id, error=type(error).__name__, where=where(error))
        services.handle(AgentLookedUp(claim.agent_id, call_id, services.clock.now()))

    def read_announcement(self, claim: Claim[ReadAnnouncement]) -> None:
        """Reads the row until the effect's time is over; then the alarm goes out with what is known: a dial."""
        effect = claim.effect
        accepted = accept.from_read_row(effect, self._row(effect), self.services.mappings, self.services.clock.now())
        match accepted:
            case Dialled() | Ended():
                self.services.handle(accepted)
            case Ignored() | ReadAnnouncement():
                decisions.labels("announcement_without_event").inc()
                log().warning("announcement_without_event", kind=effect.event)

    def _row(self, effect: ReadAnnouncement) -> dict[str, Any]:
        """The row, empty where it cannot be read. Raises RetryLater or AuthenticationError while there is time."""
        mapping = accept.mapping_for(effect, self.services.mappings)
        if mapping is None:
            log().error("announcement_without_mapping", kind=effect.event)
            return {}
        try:
            return dict(self.services.dataverse.get(f"{mapping.set}({effect.row_id})", timeout=READ_SECONDS))
        except (RetryLater, AuthenticationError):
            if self.services.clock.now() < effect.until:
                raise
        except ConnectorError as error:
            log().error("announcement_not_read", problem=str(error))
        return {}
