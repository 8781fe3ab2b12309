"""The validation of everybody on a schedule: compared with the one before, and told to the administrators.

Only one replica does it at a time. What newly broke or was mended is mailed once, through the same outbox as the notice
of a call; the first run is told as a summary.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from connector.assembly import Connector
from connector.calls.effects import TellAdministrators
from connector.directory import webhooks
from connector.drift import Run, compare
from connector.errors import ConnectorError
from connector.logs import log
from connector.prerequisites.facts import WebhookFacts
from connector.prerequisites.findings import Severity
from connector.prerequisites.load.organisation import circumstances
from connector.prerequisites.report import validate
from connector.store import validations
from connector.store.lock import alone

TELL_FOR = timedelta(hours=24)


def run(connector: Connector, *, not_since: datetime | None = None) -> Run | None:
    """Validates everybody and asks for the mail, if there is something to tell.

    None if another replica has done it since `not_since`. Raises AlreadyRunning while another one does it, RetryLater
    if a store cannot be used.
    """
    with alone(connector.directory_store, "validation"):
        with connector.directory_store.read() as connection:
            before = validations.last(connection)
        if before and not_since and before.at >= not_since:
            return None
        made = _validate(connector, first=before is None)
        _ask(connector)
    log().info("validated", count=made.agents, rows=made.ready)
    return made


def _validate(connector: Connector, *, first: bool) -> Run:
    now = connector.clock.now()
    around = circumstances(connector.settings, connector.store, now, _webhook(connector, now))
    standing, agents = {}, 0
    with validate(connector.directory_store, connector.mappings, around) as found:
        for report in found.agents:
            agents += 1
            codes = frozenset(f.code for f in report.findings if f.severity is Severity.ERROR)
            if codes:
                standing[report.agent_id] = codes
    made = Run(str(uuid.uuid4()), now, agents, agents - len(standing), first)
    with connector.directory_store.write() as connection:
        changes = [] if first else compare(validations.standing(connection), standing)
        validations.record(connection, made, standing, changes)
        if not (first or changes):
            validations.mark_told(connection, made.id)
    return made


def _webhook(connector: Connector, now: datetime) -> WebhookFacts | None:
    try:
        return webhooks.read(connector.dataverse, connector.mappings, now)
    except ConnectorError as error:
        log().warning("webhook_not_looked_up", problem=str(error))
        return None


def _ask(connector: Connector) -> None:
    """Asks for the mails of runs that have something to tell; those of a killed process, too.

    The effect's id is derived from the run, so asking twice asks once.
    """
    with connector.directory_store.read() as connection:
        untold = validations.untold(connection)
    for run_id in untold:
        if connector.settings.administrators:
            until = connector.clock.now() + TELL_FOR
            connector.desk.ask([TellAdministrators(run_id, connector.settings.administrators, until)], "")
        with connector.directory_store.write() as connection:
            validations.mark_told(connection, run_id)
