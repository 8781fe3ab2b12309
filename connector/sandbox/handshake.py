"""How Event Grid asks an endpoint whether it wants the events.

By a validation event ("Webhook event delivery"), or, for CloudEvents, by the OPTIONS request of its abuse protection.
"""

from __future__ import annotations

import json
import uuid

import requests

from connector.sandbox.events import CLOUD, Subscription, event_time

VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"
ORIGIN = "eventgrid.azure.net"


class HandshakeError(Exception):
    """The endpoint did not prove that it wants the events; no subscription was made."""


def shake_hands(session: requests.Session, subscription: Subscription, *, validation_url: str, seconds: float) -> None:
    """Asks within so many seconds; marks the subscription as validated, or raises HandshakeError.

    An endpoint that answers 200 without the code stays unvalidated: someone may still open the validation URL.
    """
    try:
        if subscription.schema == CLOUD:
            _ask_by_options(session, subscription, seconds)
        else:
            _ask_by_event(session, subscription, f"{validation_url}?code={subscription.code}", seconds)
    except requests.RequestException as error:
        raise HandshakeError(f"the endpoint did not answer: {type(error).__name__}") from error


def _ask_by_options(session: requests.Session, subscription: Subscription, seconds: float) -> None:
    """The abuse protection of CloudEvents: an OPTIONS request that must name us, or anyone, as allowed."""
    headers = {**subscription.headers, "WebHook-Request-Origin": ORIGIN}
    answer = session.options(subscription.url, headers=headers, timeout=seconds, allow_redirects=False)
    allowed = answer.headers.get("WebHook-Allowed-Origin", "")
    if answer.status_code != 200 or allowed not in ("*", ORIGIN):
        raise HandshakeError(f"OPTIONS was answered {answer.status_code} without WebHook-Allowed-Origin")
    subscription.validated = True


def _ask_by_event(session: requests.Session, subscription: Subscription, validation_url: str, seconds: float) -> None:
    event = {
        "id": str(uuid.uuid4()),
        "topic": subscription.topic,
        "subject": "",
        "data": {"validationCode": subscription.code, "validationUrl": validation_url},
        "eventType": VALIDATION,
        "eventTime": event_time(subscription.created),
        "metadataVersion": "1",
        "dataVersion": "1",
    }
    headers = {
        **subscription.headers,
        "Content-Type": "application/json; charset=utf-8",
        "aeg-event-type": "SubscriptionValidation",
        "aeg-subscription-name": subscription.name,
    }
    answer = session.post(
        subscription.url,
        data=json.dumps([event]).encode(),
        headers=headers,
        timeout=seconds,
        allow_redirects=False,
    )
    if answer.status_code != 200:
        # 202 is not enough: documented.
        raise HandshakeError(f"the validation event was answered {answer.status_code}, not 200")
    subscription.validated = _echoed(answer) == subscription.code


def _echoed(answer: requests.Response) -> str | None:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body.get("validationResponse") if isinstance(body, dict) else None
