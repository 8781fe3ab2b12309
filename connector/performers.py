"""Which room performs which effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connector import announcements
from connector.calls import effects
from connector.calls.events import AgentLookedUp, CallOverdue, LeaseExpired
from connector.dataverse.client import Dataverse
from connector.desk import Desk
from connector.directory.lookup import fetch_agent
from connector.errors import AuthenticationError, ConnectorError, GivenUp, RetryLater
from connector.logs import log, where
from connector.mappings import EventMapping, Mappings
from connector.metrics import notes
from connector.notifications.sending import Notifier
from connector.numbers.callback import Callbacks
from connector.presence import Presence
from connector.settings import Settings
from connector.store.database import Database
from connector.store.outbox import Claim, Recorded

READ_SECONDS = 5.0


@dataclass(frozen=True)
class Performers:
    """Performs a claimed effect; raises RetryLater where it may succeed later, another ConnectorError where never."""

    desk: Desk
    presence: Presence
    notifier: Notifier
    callbacks: Callbacks
    dataverse: Dataverse
    directory: Database
    mappings: Mappings
    settings: Settings

    def __call__(self, claim: Claim) -> Recorded | None:
        match claim.effect:
            case effects.Notify() as effect:
                return self.notifier.notify(claim, effect)
            case effects.SendFromMailbox() as effect:
                return self.notifier.send_from_mailbox(claim, effect)
            case effects.RestorePresence():
                return self.presence.restore(claim)
            case _:
                self._perform(claim)
                return None

    def _perform(self, claim: Claim) -> None:
        """Effects that leave nothing to record but that they are done."""
        now = self.desk.clock.now()
        match claim.effect:
            case effects.SetDoNotDisturb():
                self.presence.set_do_not_disturb(claim)
            case effects.DeleteSentEmail() as effect:
                self.notifier.delete_sent_email(claim, effect)
            case effects.TellAdministrators() as effect:
                self.notifier.tell_administrators(claim, effect)
            case effects.Redirect() as effect:
                self.callbacks.redirect(claim, effect)
            case effects.OfferNumbers():
                self.callbacks.offer_numbers()
            case effects.LookUpAgent() as effect:
                self._look_up(claim.agent_id, effect)
            case effects.ReadAnnouncement() as effect:
                self._read_announcement(effect)
            case effects.CloseWindow():
                self._close_window(claim.agent_id, now)
            case effects.GuardCall() as effect:
                self.desk.handle(CallOverdue(claim.agent_id, effect.call_id, now))

    def _close_window(self, agent_id: str, now: datetime) -> None:
        outcome = self.desk.handle(LeaseExpired(agent_id, now))
        window = outcome.state.window_ends_at if outcome.state else None
        if "window_not_over" in outcome.notes and window:
            # The clock was set back, or a second call extends the window: rings again when it is over.
            raise RetryLater("the window is not over yet", retry_after=(window - now).total_seconds())

    def last_look(self, claim: Claim) -> Recorded | None:
        """What may still be found of an effect whose time is over: a message that was accepted, though its answer was
        lost. Raises GivenUp."""
        if isinstance(claim.effect, effects.Notify):
            try:
                return self.notifier.was_accepted(claim.effect)
            except ConnectorError as error:
                log().warning("not_known_whether_accepted", call_id=claim.effect.call_id, problem=str(error))
        raise GivenUp("given up after its time")

    def _look_up(self, agent_id: str, effect: effects.LookUpAgent) -> None:
        """One try within the budget: a message to the fallback recipients now is better than a perfect one later."""
        try:
            fetch_agent(self.dataverse, self.directory, self.mappings, agent_id, self.settings.agent_lookup_seconds)
        except ConnectorError as error:
            log().warning("agent_not_fetched", call_id=effect.call_id, problem=str(error))
        except Exception as error:  # noqa: BLE001 (whatever ails the directory, somebody must be told now)
            log().error("agent_not_stored", call_id=effect.call_id, error=type(error).__name__, where=where(error))
        self.desk.handle(AgentLookedUp(agent_id, effect.call_id, self.desk.clock.now()))

    def _read_announcement(self, effect: effects.ReadAnnouncement) -> None:
        """Reads the row until the effect's time is over; then the alarm goes out with what is known: a dial."""
        mapping = self._mapping(effect)
        try:
            row = self.dataverse.get(f"{mapping.set}({effect.row_id})", timeout=READ_SECONDS)
        except (RetryLater, AuthenticationError):
            if self.desk.clock.now() < effect.until:
                raise
            row = {}
        except ConnectorError as error:
            log().error("announcement_not_read", problem=str(error))
            row = {}
        announcement = announcements.from_row(mapping, row, effect.row_id)
        event = announcement and announcements.event_of(announcement, self.mappings, self.desk.clock.now())
        if announcement and announcement.problems:
            notes.labels("announcement_incomplete").inc()
        if event:
            self.desk.handle(event)
        else:
            notes.labels("announcement_without_event").inc()
            log().warning("announcement_without_event", kind=effect.event)

    def _mapping(self, effect: effects.ReadAnnouncement) -> EventMapping:
        return next(m for m in self.mappings.events if m.table == effect.table and m.event == effect.event)
