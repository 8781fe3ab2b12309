"""Reads from Dataverse whether webhook steps announce calls, and which of their deliveries failed of late.

The query for failed jobs is Microsoft's own for operators. [documented: register a webhook]
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from connector.dataverse.client import Dataverse
from connector.errors import BadData, ServiceRejected
from connector.mappings import EventMapping, Mappings
from connector.prerequisites.facts import StepFacts, WebhookFacts

OF_LATE = timedelta(days=7)
_MOST_JOBS = 50


def read(dataverse: Dataverse, mappings: Mappings, now: datetime) -> WebhookFacts:
    """The webhook steps on the messages of `mappings/events.toml`. Raises ConnectorError where Dataverse cannot be
    asked at all; what it refuses is told in the facts."""
    reading = _Reading(dataverse, mappings, now)
    try:
        return WebhookFacts(tuple(step for event in mappings.events for step in reading.steps(event)))
    except (ServiceRejected, BadData) as refusal:
        return WebhookFacts(refused=str(refusal))


class _Reading:
    def __init__(self, dataverse: Dataverse, mappings: Mappings, now: datetime) -> None:
        self._dataverse = dataverse
        self._names = mappings.webhook
        self._since = f"{now - OF_LATE:%Y-%m-%dT%H:%M:%SZ}"

    def steps(self, event: EventMapping) -> Iterator[StepFacts]:
        """The webhook steps on an event's message, for its table if it has one."""
        names = self._names
        wanted = (names["step_id"], names["step_name"], names["step_state"], names["step_endpoint"])
        for message in self._rows("messages", f"{names['message_name']} eq '{event.message}'", names["message_id"]):
            for limit in self._limits(message[names["message_id"]], event.table):
                for step in self._rows("steps", f"{limit} and {names['step_endpoint']} ne null", *wanted):
                    for endpoint in self._webhooks(step[names["step_endpoint"]]):
                        yield self._facts(event, step, endpoint)

    def _limits(self, message_id: str, table: str) -> Iterator[str]:
        """The conditions by which steps on a message are found, one for each filter of the message on the table."""
        names = self._names
        on_message = f"{names['step_message']} eq {message_id}"
        if not table:
            yield on_message
            return
        condition = f"{names['filter_message']} eq {message_id} and {names['filter_table']} eq '{table}'"
        for row in self._rows("filters", condition, names["filter_id"]):
            yield f"{on_message} and {names['step_filter']} eq {row[names['filter_id']]}"

    def _webhooks(self, endpoint_id: str) -> list[dict[str, Any]]:
        """The endpoint, if it is a webhook."""
        names = self._names
        condition = (
            f"{names['endpoint_id']} eq {endpoint_id} and {names['endpoint_contract']} eq {names['contract_webhook']}"
        )
        return self._rows("endpoints", condition, names["endpoint_url"])

    def _facts(self, event: EventMapping, step: dict[str, Any], endpoint: dict[str, Any]) -> StepFacts:
        names = self._names
        condition = (
            f"{names['job_step']} eq {step[names['step_id']]} and {names['job_status']} eq {names['job_failed']} "
            f"and {names['job_completed']} ge {self._since}"
        )
        jobs = self._rows("jobs", condition, names["job_completed"], most=_MOST_JOBS, newest=names["job_completed"])
        return StepFacts(
            name=step.get(names["step_name"]) or "",
            event=event.event,
            enabled=step.get(names["step_state"]) == names["step_enabled"],
            failures=len(jobs),
            last_failure=str(jobs[0][names["job_completed"]]) if jobs else "",
            # The rest of the address may hold the secret.
            host=_host(endpoint.get(names["endpoint_url"]) or ""),
        )

    def _rows(
        self, table: str, condition: str, *columns: str, most: int | None = None, newest: str = ""
    ) -> list[dict[str, Any]]:
        options = {"$select": ",".join(columns), "$filter": condition}
        if newest:
            options["$orderby"] = f"{newest} desc"
        if most:
            options["$top"] = str(most)
        path = self._names[table]
        answer = self._dataverse.patiently(lambda: self._dataverse.get(path, params=options))
        return list(answer["value"])


def _host(url: str) -> str:
    """The host of an address, empty where it is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
