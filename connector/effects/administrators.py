"""Tells the administrators what a validation of everybody found."""

from __future__ import annotations

from dataclasses import dataclass

from connector.calls.decide import packed
from connector.calls.effects import TellAdministrators, derive_id
from connector.effects.services import Performer, Performers, Services
from connector.engine.outbox import Claim
from connector.errors import BadData
from connector.notifications.message import for_acs
from connector.prerequisites import history
from connector.reports import as_mail


def performers(services: Services) -> Performers:
    """Who mails a validation's changes."""
    return {TellAdministrators: Performer(_Administrators(services).tell)}


@dataclass(frozen=True)
class _Administrators:
    services: Services

    def tell(self, claim: Claim[TellAdministrators]) -> None:
        """Mails what a validation found, under the effect's own id: never twice. Then the administrators know it."""
        database, email, effect = self.services.directory.database, self.services.email, claim.effect
        with database.read() as connection:
            found = history.find(connection, effect.call_id)
        if found is None:
            raise BadData("the validation is not kept any more: a later one tells what changed")
        run, changes = found
        if run.told:  # the process was killed before it could mark the effect done
            return
        names = self.services.directory.names({change.agent_id for change in changes})
        message = as_mail.compose(run, changes, names)
        for part, recipients in enumerate(packed(effect.recipients)):
            message_id = derive_id(claim.id, str(part))
            email.send(for_acs(message, email.sender, recipients), message_id, repeated=claim.repeated)
        # In the directory's database, before the effect is done: a crash between the two repeats a mail under its id.
        with database.write() as connection:
            history.mark_told(connection, run.id)
