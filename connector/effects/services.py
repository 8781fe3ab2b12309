"""What effects are performed with, and how a module of this room says which kinds it performs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.acs.calls import Calls
from connector.acs.email import Email
from connector.calls.effects import Effect
from connector.calls.events import Event
from connector.clock import Clock
from connector.dataverse.client import Dataverse
from connector.directory.reader import Briefing, Directory, if_readable
from connector.engine.handler import Outcome
from connector.engine.outbox import Claim, Recorded
from connector.errors import GivenUp
from connector.mappings import Mappings
from connector.settings import Settings
from connector.store.database import Database


@dataclass(frozen=True)
class Services:
    """Clients, databases and settings. `handle` deals with an event, `ask` stores further effects of an agent."""

    store: Database
    directory: Directory
    dataverse: Dataverse
    email: Email
    calls: Calls
    mappings: Mappings
    settings: Settings
    clock: Clock
    handle: Callable[[Event], Outcome]
    ask: Callable[[Sequence[Effect], str], None]

    def briefing(self, claim: Claim[Any]) -> Briefing:
        """What the directory says about the claim's agent: as it was read a moment ago, else read now."""
        if claim.known:
            return claim.known.briefing
        title = self.settings.template_title
        return if_readable(lambda: self.directory.briefing(claim.agent_id, title)) or Briefing()


def give_up(_claim: Claim[Any]) -> Recorded | None:
    """The last look of most kinds: there is nothing to be found."""
    raise GivenUp("given up after its time")


@dataclass(frozen=True)
class Performer:
    """How a kind of effect is performed.

    `perform` raises RetryLater where it may succeed later, another ConnectorError where never. `last_look` is asked
    once the effect's time is over; it raises GivenUp unless the effect turns out to be done. Both return what is to be
    stored with that. Any: each takes claims of its own kind only.
    """

    perform: Callable[[Any], Recorded | None]
    last_look: Callable[[Any], Recorded | None] = give_up


Performers = dict[type[Any], Performer]
"""By kind of effect. Each module of this room has a function `performers(services)` that returns its own."""
