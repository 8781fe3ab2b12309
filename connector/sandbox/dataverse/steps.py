"""Registered steps: which of them a change triggers, and what becomes of it.

A synchronous step is part of the caller's transaction: its failure undoes the write and is shown to the caller. An
asynchronous one runs after the commit and leaves a system job. [documented: use webhooks]
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from connector.clock import Clock
from connector.sandbox.dataverse.context import (
    REMOVED_WHEN_LARGE,
    Change,
    Surroundings,
    build_context,
    write_context,
)
from connector.sandbox.dataverse.errors import WebApiError
from connector.sandbox.dataverse.filters import iso
from connector.sandbox.dataverse.messages import Request
from connector.sandbox.dataverse.options import DataverseOptions
from connector.sandbox.dataverse.rows import Rows, Transaction, Values
from connector.sandbox.dataverse.schema import Table
from connector.sandbox.dataverse.sender import Delivery, Outcome, Sender, addressed

__all__ = ["Change", "Steps"]

WEBHOOK, POST_OPERATION = 8, 40
SYNCHRONOUS = 0
SUCCEEDED, FAILED = 30, 31


class Steps:
    """Finds and runs the steps for a change."""

    def __init__(self, rows: Rows, sender: Sender, clock: Clock, options: DataverseOptions, domain: str) -> None:
        self._rows = rows
        self._sender = sender
        self._clock = clock
        self._options = options
        self._domain = domain
        self._index: dict[tuple[str, str | None], list[Values]] = {}
        self._indexed = -1

    def run(self, change: Change, request: Request, transaction: Transaction) -> None:
        """Runs the synchronous steps now and leaves the asynchronous ones to the commit."""
        steps = self._triggered(change)
        if not steps:
            return
        around = self._surroundings(request)
        if change.table is not None and change.name is None:
            change = self._named(change, change.table)
        called = False
        for step in steps:
            if step["mode"] == SYNCHRONOUS:
                self._run_synchronously(change, step, around)
                called = True
            else:
                delivery = self.delivery(change, step, around, str(uuid.uuid4()))
                transaction.on_commit.append(partial(self._sender.queue, delivery))
        if called and self._options.roll_back_after_webhook:
            raise WebApiError(400, "0x80040265", "The transaction was rolled back by a later step.")

    def delivery(self, change: Change, step: Values, around: Surroundings, operation_id: str) -> Delivery:
        """The webhook that a step sends for a change."""
        endpoint = self._rows.sets["serviceendpoint"].by_id[step["_eventhandler_value"]].values
        url, secret = addressed(endpoint["url"], endpoint["authtype"], endpoint.get("authvalue", ""))
        table = change.table.name if change.table else self._options.global_api_table
        headers = {
            "x-ms-dynamics-organization": self._domain,
            "x-ms-dynamics-entity-name": table,
            "x-ms-dynamics-request-name": change.message,
            "x-ms-correlation-request-id": around.correlation_id,
            **secret,
        }

        def body(attempt: int) -> tuple[bytes, Mapping[str, str]]:
            fresh = attempt > 1 and not self._options.same_operation_on_retry
            named = str(uuid.uuid4()) if fresh else operation_id
            return self._payload(build_context(change, step, around, self._options, named))

        def finished(outcome: Outcome) -> None:
            if step["mode"] != SYNCHRONOUS:
                self._record_job(change, step, around, operation_id, outcome)

        return Delivery(url, headers, body, finished)

    def _payload(self, context: dict[str, Any]) -> tuple[bytes, Mapping[str, str]]:
        body = write_context(context, self._options.escaped_slashes)
        if len(body) <= self._options.payload_limit:
            return body, {}
        small = {name: value for name, value in context.items() if name not in REMOVED_WHEN_LARGE}
        return write_context(small, self._options.escaped_slashes), {"x-ms-dynamics-msg-size-exceeded": "true"}

    def _run_synchronously(self, change: Change, step: Values, around: Surroundings) -> None:
        # In every synchronous sample OperationId equals RequestId: it names the request. [recorded traffic]
        outcome = self._sender.send(self.delivery(change, step, around, around.request_id))
        if not outcome.succeeded:
            status, code = self._options.synchronous_failure_status, self._options.synchronous_failure_code
            raise WebApiError(status, code, outcome.message)

    def _triggered(self, change: Change) -> list[Values]:
        if self._indexed != self._registered():
            self._build_index()
        table = change.table.name if change.table else None
        steps = self._index.get((change.message, table), [])
        if table is not None:
            steps = steps + self._index.get((change.message, None), [])
        return [step for step in steps if _concerns(step, change)]

    def _registered(self) -> int:
        """Grows whenever steps, endpoints, messages or filters change."""
        names = ("sdkmessageprocessingstep", "serviceendpoint", "sdkmessage", "sdkmessagefilter")
        return max(self._rows.sets[name].changed for name in names)

    def _build_index(self) -> None:
        self._indexed = self._registered()
        index: dict[tuple[str, str | None], list[Values]] = {}
        endpoints = self._rows.sets["serviceendpoint"].by_id
        for step in self._rows.all("sdkmessageprocessingstep"):
            endpoint = endpoints.get(step.get("_eventhandler_value", ""))
            message = self._rows.get("sdkmessage", step.get("_sdkmessageid_value", ""))
            if endpoint is None or message is None or endpoint.values.get("contract") != WEBHOOK:
                continue
            if step.get("statecode", 0) != 0 or step.get("stage") != POST_OPERATION:
                continue
            filtered = self._rows.get("sdkmessagefilter", step.get("_sdkmessagefilterid_value", ""))
            table = filtered.values.get("primaryobjecttypecode") if filtered else None
            index.setdefault((message.values["name"], None if table == "none" else table), []).append(step)
        for steps in index.values():
            steps.sort(key=lambda step: step.get("rank", 1))
        self._index = index

    def _surroundings(self, request: Request) -> Surroundings:
        organisation = next(self._rows.all("organization"))
        unit = next(self._rows.all("businessunit"))
        return Surroundings(
            organisation["organizationid"],
            organisation["name"],
            unit["businessunitid"],
            request.caller,
            self._clock.now(),
            request.correlation_id,
            request.request_id,
        )

    def _named(self, change: Change, table: Table) -> Change:
        row = self._rows.get(table.name, change.row_id)
        name = row.values.get(table.primary_name) if row else None
        return Change(
            change.message, table, change.row_id, change.sent, change.target, change.version, change.parameters, name
        )

    def _record_job(
        self, change: Change, step: Values, around: Surroundings, operation_id: str, outcome: Outcome
    ) -> None:
        """The system job; a successful one goes if the step says so. Failed: statuscode 31. [documented]"""
        if outcome.succeeded and step.get("asyncautodelete"):
            return
        values: Values = {
            # A second delivery of the same job, under switched-on disorder, leaves no second row.
            "asyncoperationid": operation_id,
            "name": step.get("name"),
            "operationtype": 1,
            "_owningextensionid_value": step["sdkmessageprocessingstepid"],
            "correlationid": around.correlation_id,
            "requestid": around.request_id,
            "messagename": change.message,
            "primaryentitytype": change.table.name if change.table else None,
            "startedon": iso(around.now),
            "completedon": iso(self._clock.now()),
            "retrycount": outcome.attempts - 1,
            "statecode": 3,
            "statuscode": SUCCEEDED if outcome.succeeded else FAILED,
        }
        if not outcome.succeeded:
            values |= {"message": outcome.message, "friendlymessage": outcome.message, "errorcode": -2147220891}
        with self._rows.lock:
            if self._rows.get("asyncoperation", operation_id) is None:
                self._rows.insert("asyncoperation", {k: v for k, v in values.items() if v is not None})


def _concerns(step: Values, change: Change) -> bool:
    """Filtering attributes: an update runs the step only if it contains one of them. [documented]"""
    wanted = step.get("filteringattributes")
    if change.message != "Update" or not wanted or change.table is None:
        return True
    by_wire = {column.wire: column.name for column in change.table.columns}
    sent = {by_wire[wire] for wire in change.sent}
    return not sent.isdisjoint(name.strip() for name in wanted.split(","))
