"""What Event Grid delivers: incoming calls on leased numbers, and delivery reports of messages."""

from __future__ import annotations

import json
from typing import Any

from connector.assembly import Connector
from connector.calls.effects import derive_id
from connector.calls.events import CallbackArrived
from connector.e164 import e164
from connector.errors import BadData
from connector.logs import log
from connector.metrics import deliveries, delivery_reports
from connector.store import calls

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
INCOMING_CALL = "Microsoft.Communication.IncomingCall"
DELIVERY_REPORT = "Microsoft.Communication.EmailDeliveryReportReceived"
REPORTS = {
    "delivered": True,
    "expanded": True,
    "suppressed": False,
    "bounced": False,
    "quarantined": False,
    "filteredspam": False,
    "failed": False,
}
"""Documented statuses of a delivery report, compared without case; whether each means delivered."""


def read_events(body: bytes) -> list[dict[str, Any]]:
    """The events of a delivery, in either envelope, single or in an array. Raises BadData if it is no JSON."""
    try:
        data = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise BadData("the body is not JSON") from None
    found = data if isinstance(data, list) else [data]
    return [event for event in found if isinstance(event, dict)]


def validation_code(events: list[dict[str, Any]], topic: str) -> str | None:
    """The code to answer when Event Grid asks whether we want a subscription, None if it asks nothing.

    Raises BadData for a foreign topic: nobody else may subscribe our endpoint.
    """
    for event in events:
        if event.get("eventType") == VALIDATION:
            if not _ours(event, topic):
                raise BadData("the subscription's topic is not ours: compare EMERGENCY_EVENTGRID_TOPIC")
            return str(_data(event).get("validationCode", ""))
    return None


def deal_with(connector: Connector, events: list[dict[str, Any]]) -> None:
    """Deals with every event; when this returns, all are on disk. Raises RetryLater if the store cannot be used."""
    for event in events:
        kind = event.get("eventType") or event.get("type")
        if not _ours(event, connector.settings.eventgrid_topic):
            deliveries.labels("eventgrid", "foreign_topic").inc()
        elif kind == INCOMING_CALL:
            _incoming_call(connector, event)
        elif kind == DELIVERY_REPORT:
            _delivery_report(connector, event)
        else:
            deliveries.labels("eventgrid", "not_ours").inc()


def _incoming_call(connector: Connector, event: dict[str, Any]) -> None:
    data = _data(event)
    number, context = _called(data), data.get("incomingCallContext")
    agent_id = None
    if number and isinstance(context, str):
        with connector.store.read() as connection:
            agent_id = calls.holder(connection, number)
    if agent_id is None or number is None or not isinstance(context, str):
        # Every call of the resource comes by here, a redirected one for a second time; only leased numbers are ours.
        deliveries.labels("eventgrid", "call_not_ours").inc()
        return
    deliveries.labels("eventgrid", "callback").inc()
    arrived = CallbackArrived(agent_id, number, _event_key(event), context, connector.clock.now())
    connector.handler.handle(arrived)


def _called(data: dict[str, Any]) -> str | None:
    to = data.get("to")
    if not isinstance(to, dict):
        return None
    phone = to.get("phoneNumber")
    value = phone.get("value") if isinstance(phone, dict) else None
    raw = to.get("rawId")
    return e164(value if isinstance(value, str) else raw if isinstance(raw, str) and raw.startswith("4:") else None)


def _delivery_report(connector: Connector, event: dict[str, Any]) -> None:
    data = _data(event)
    status = str(data.get("status", "")).lower()
    operation_id = str(data.get("messageId", "")).lower()
    now = connector.clock.now()
    with connector.store.write() as connection:
        fresh = calls.remember_delivery(connection, f"report/{_event_key(event)}", now) is None
        known = fresh and calls.record_delivery(connection, operation_id, delivered=REPORTS.get(status, False))
    deliveries.labels("eventgrid", "report" if known else "report_of_no_message" if fresh else "again").inc()
    if fresh:
        delivery_reports.labels(status if status in REPORTS else "unknown").inc()
    if known and not REPORTS.get(status, False):
        log().warning("message_not_delivered", status=status if status in REPORTS else "unknown")


def _event_key(event: dict[str, Any]) -> str:
    """What tells two events apart: documented for de-duplication are topic and id together."""
    return derive_id("event", str(event.get("topic") or event.get("source")), str(event.get("id")))


def _ours(event: dict[str, Any], topic: str) -> bool:
    told = str(event.get("topic") or event.get("source") or "")
    return told.lower().startswith(topic.lower())


def _data(event: dict[str, Any]) -> dict[str, Any]:
    data = event.get("data")
    return data if isinstance(data, dict) else {}
