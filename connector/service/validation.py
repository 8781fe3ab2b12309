"""The validation of everybody on a schedule: compared with what the administrators know, and told to them.

Only one replica does it at a time. What newly broke or was mended is mailed once, through the same outbox as the notice
of a call; the first mail is a summary. What a lost mail would have told is told by the next one: the administrators
know only what a mail that was accepted told them. There is one mail at a time.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from connector.assembly import Connector
from connector.calls.effects import TellAdministrators
from connector.directory.problems import PRIVILEGE_MISSING, REFUSED, TABLE_MISSING
from connector.directory.progress import TableStatus, status
from connector.errors import ConnectorError
from connector.logs import log
from connector.prerequisites import history
from connector.prerequisites.changes import EVERYBODY, Run, Standing, compare
from connector.prerequisites.codes import prerequisite
from connector.prerequisites.facts import WebhookFacts
from connector.prerequisites.findings import Finding, Severity
from connector.prerequisites.load import webhooks
from connector.prerequisites.load.organisation import validation_context
from connector.prerequisites.report import validate
from connector.store.lock import alone

TELL_FOR = timedelta(hours=23)
"""Shorter than a day, so that a daily validation does not wait for the mail of the one before."""
WAITED_FOR = 2 * TELL_FOR
"""How long a mail is waited for that is neither sent nor given up."""


def last(connector: Connector) -> Run | None:
    """The latest validation. Raises RetryLater if the store cannot be used."""
    with connector.directory_store.read() as connection:
        return history.last(connection, connector.clock.now())


def run(connector: Connector, *, not_since: datetime | None = None) -> Run | None:
    """Validates everybody and asks for the mail, if there is something to tell.

    None if another replica has done it since `not_since`, or if it must be put off, which is logged: then nothing is
    kept. Raises AlreadyRunning while another one does it, RetryLater if a store cannot be used.
    """
    with alone(connector.directory_store, "validation"):
        before = last(connector)
        if before and not_since and before.at >= not_since:
            return None
        obstacle = _obstacle(connector)
        made = None if obstacle else _validate(connector)
        if made is None:
            log().warning("validation_put_off", problem=obstacle or "the directory knows no agents")
            return None
        if not made.told:
            until = connector.clock.now() + TELL_FOR
            connector.handler.ask([TellAdministrators(made.id, connector.settings.administrators, until)], "")
    log().info("validated", count=made.agents, rows=made.ready)
    return made


def _obstacle(connector: Connector) -> str:
    """Why a validation would tell what is not so, empty if it would not."""
    now = connector.clock.now()
    with connector.store.read() as connection:
        if history.being_told(connection, now - WAITED_FOR, now):
            # Whether the administrators will know of the last validation is not settled yet.
            return "the mail of the last validation is still to be sent"
    names = connector.mappings.tables
    tables = status(connector.directory_store, connector.clock, names)
    awaited = ", ".join(table.name for table in tables if table.name in names and _awaited(table))
    return f"never read whole: {awaited}" if awaited else ""


def _awaited(table: TableStatus) -> bool:
    """Whether the first read of a table is still to end; one that cannot be read must not stop every validation."""
    met = {problem.code for problem in table.problems}
    if table.age is not None or met & {TABLE_MISSING, PRIVILEGE_MISSING}:
        return False
    return table.next_read == "goes on" or REFUSED not in met


def _validate(connector: Connector) -> Run | None:
    """Keeps a validation and what changed. None, and nothing is kept, where there are no agents."""
    now = connector.clock.now()
    with connector.directory_store.read() as connection:
        before, first = history.standing(connection), not history.ever_told(connection)
    standing = _judge(connector, now, before)
    wrong = [bool(codes) for agent_id, codes in standing.items() if agent_id != EVERYBODY]
    if not wrong:
        return None
    changes = compare(before, standing)
    told = not (connector.settings.administrators and (first or changes))
    made = Run(str(uuid.uuid4()), now, len(wrong), wrong.count(False), first, told)
    with connector.directory_store.write() as connection:
        history.record(connection, made, changes, before.keys() - standing.keys())
    return made


def _judge(connector: Connector, now: datetime, before: Standing) -> Standing:
    """What is wrong with every agent, and with everybody."""
    webhook = _webhook(connector, now)
    context = validation_context(connector.settings, connector.store, now, webhook)
    with validate(connector.directory_store, connector.mappings, context) as found:
        standing = {report.agent_id: _errors(report.findings) for report in found.agents}
    everybody = _errors(found.organisation)
    if webhook is None or webhook.refused:
        # That it cannot be looked at, as while Dataverse is away, neither breaks nor mends it.
        everybody |= {code for code in before.get(EVERYBODY, ()) if prerequisite(code) == "webhook"}
    return {**standing, EVERYBODY: everybody}


def _errors(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(finding.code for finding in findings if finding.severity is Severity.ERROR)


def _webhook(connector: Connector, now: datetime) -> WebhookFacts | None:
    try:
        return webhooks.read(connector.dataverse, connector.mappings, now)
    except ConnectorError as error:
        log().warning("webhook_not_looked_up", problem=str(error))
        return None
