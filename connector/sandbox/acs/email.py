"""E-mail: accepting mails, telling their status, reporting their delivery (Email contract 2025-09-01).

Every accepted mail stays in the outbox, where tests and the demo read it. Nothing leaves the machine.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from connector.clock import Clock
from connector.sandbox.acs.options import RATES, AcsOptions
from connector.sandbox.acs.rates import Quota
from connector.sandbox.acs.responses import Call, ServiceError
from connector.sandbox.events import Event

REPORT = "Microsoft.Communication.EmailDeliveryReportReceived"
MOST_RECIPIENTS = 50
MOST_BYTES = 10 * 1024 * 1024
# The only failure whose meaning for the recipients is known: they are on the suppression list.
SUPPRESSED = "EmailDroppedAllRecipientsSuppressed"
NOISE = {"api-supported-versions": "2023-03-31, 2025-09-01", "X-Processing-Time": "951ms"}  # [recorded traffic]


@dataclass
class Mail:
    """An accepted mail: when, as what, and how many requests with its operation id were seen."""

    operation_id: str
    accepted_at: datetime
    message: dict[str, Any]
    recipients: list[str]
    failure: str | None = None
    requests: int = 1

    @property
    def subject(self) -> str:
        """The subject of the message."""
        return str(self.message["content"]["subject"])


class Email:
    """The two handlers of e-mail, and the outbox."""

    def __init__(
        self, clock: Clock, options: AcsOptions, sender: str, topic: str, publish: Callable[[Event, float], None]
    ) -> None:
        self._clock = clock
        self._options = options
        self._domains = {sender.rpartition("@")[2].lower()}
        self._topic = topic
        self._publish = publish
        self._mails: list[Mail] = []
        self._by_operation: dict[str, Mail] = {}
        self._lock = threading.Lock()
        self._sends, self._reads = Quota(), Quota()

    @property
    def outbox(self) -> list[Mail]:
        """The mails accepted so far, oldest first."""
        with self._lock:
            return list(self._mails)

    def clear(self) -> None:
        """Empties the outbox; the status of earlier mails stays readable."""
        with self._lock:
            self._mails.clear()

    def send(self, call: Call) -> Response:
        """Accepts a mail: 202, its operation id, and where to ask for its status."""
        now = self._clock.now()
        if rates := RATES[self._options.email_rates]:
            self._sends.take(now, rates[0], rates[1], tell_wait=self._options.email_rate_retry_after)
        if len(call.body) > MOST_BYTES:
            raise ServiceError(self._options.email_too_large_status, "RequestTooLarge", "The mail is above 10 MB.")
        message = call.json()
        recipients = check_message(message)
        self._check_sender(message["senderAddress"])
        operation_id = _operation_id(call)
        mail = self._repeated(operation_id) or self._accept(operation_id, message, recipients, now)
        location = f"{call.base_url}/emails/operations/{mail.operation_id}?api-version={call.api_version}"
        headers = {"Operation-Location": location, "Retry-After": str(self._options.email_retry_after)}
        return JSONResponse(self._status(mail, mail.accepted_at), 202, headers={**NOISE, **headers})

    def status(self, call: Call) -> Response:
        """The status of a mail; Retry-After is there only while it is not final."""
        now = self._clock.now()
        if rates := RATES[self._options.email_rates]:
            self._reads.take(now, rates[2], rates[3], tell_wait=self._options.email_rate_retry_after)
        mail = self._by_operation.get(call.path["operation"].lower())
        if mail is None or self._options.email_status_lost:
            raise ServiceError(404, "NotFound", "The operation cannot be found.")
        body = self._status(mail, now)
        headers = dict(NOISE)
        if body["status"] == "Running":
            headers["Retry-After"] = str(self._options.email_retry_after)
        return JSONResponse(body, headers=headers)

    def _check_sender(self, address: str) -> None:
        if address.rpartition("@")[2].lower() not in self._domains:
            raise ServiceError(404, "DomainNotLinked", "The sender's domain is not linked to this resource.")

    def _repeated(self, operation_id: str) -> Mail | None:
        """What a repeated Operation-Id means here; the service promises nothing about it."""
        with self._lock:
            earlier = self._by_operation.get(operation_id.lower())
            if earlier is None:
                return None
            earlier.requests += 1
        if self._options.email_repeat == "reject":
            raise ServiceError(400, "BadRequest", "The operation id was already used.")
        return earlier if self._options.email_repeat == "same" else None

    def _accept(self, operation_id: str, message: dict[str, Any], recipients: list[str], now: datetime) -> Mail:
        failing = self._options.failing_mails
        mail = Mail(operation_id, now, message, recipients, failure=failing.pop(0) if failing else None)
        with self._lock:
            self._mails.append(mail)
            self._by_operation[operation_id.lower()] = mail
        for place, recipient in enumerate(recipients):
            if status := self._delivery(mail, recipient, place):
                self._report(mail, recipient, status)
        return mail

    def _delivery(self, mail: Mail, recipient: str, place: int) -> str | None:
        if mail.failure is not None:
            return "Suppressed" if mail.failure == SUPPRESSED else None
        # Documents write Delivered, the contract's sample delivered: receivers must take both.
        usual = "delivered" if place % 2 else "Delivered"
        return self._options.delivery_statuses.get(recipient, usual)

    def _report(self, mail: Mail, recipient: str, status: str) -> None:
        after = self._options.report_seconds
        at = mail.accepted_at + timedelta(seconds=after)
        sender = mail.message["senderAddress"]
        data = {
            "sender": sender,
            "recipient": recipient,
            "messageId": mail.operation_id,
            "status": status,
            "deliveryStatusDetails": {"statusMessage": status},
            "deliveryAttemptTimeStamp": at.isoformat(timespec="microseconds"),
        }
        event = Event(REPORT, f"sender/{sender}/message/{mail.operation_id}", data, at, self._topic)
        self._publish(event, after)

    def _status(self, mail: Mail, now: datetime) -> dict[str, Any]:
        if now - mail.accepted_at < timedelta(seconds=self._options.email_seconds):
            return {"id": mail.operation_id, "status": "Running", "error": None}
        if mail.failure is None:
            return {"id": mail.operation_id, "status": "Succeeded", "error": None}
        error = {"code": mail.failure, "message": "The message was dropped."}
        return {"id": mail.operation_id, "status": "Failed", "error": error}


def check_message(message: dict[str, Any]) -> list[str]:
    """Checks what the contract requires of a message; returns its recipients, To before Cc before Bcc.

    No complete list of the service's error codes exists; `BadRequest` stands for all of these.
    """
    content, lists = message.get("content"), message.get("recipients")
    if not isinstance(message.get("senderAddress"), str) or not isinstance(lists, dict):
        raise ServiceError(400, "BadRequest", "senderAddress and recipients are required.")
    if not isinstance(content, dict) or not isinstance(content.get("subject"), str):
        raise ServiceError(400, "BadRequest", "content.subject is required.")
    if not lists.get("to"):
        raise ServiceError(400, "BadRequest", "recipients.to is required.")
    for attachment in message.get("attachments") or []:
        if not all(attachment.get(name) for name in ("name", "contentType", "contentInBase64")):
            raise ServiceError(400, "BadRequest", "An attachment needs name, contentType and contentInBase64.")
    recipients = [_address(item) for kind in ("to", "cc", "bcc") for item in lists.get(kind) or []]
    if len(recipients) > MOST_RECIPIENTS:
        raise ServiceError(400, "BadRequest", f"A mail has at most {MOST_RECIPIENTS} recipients.")
    return recipients


def _address(item: Any) -> str:
    address = item.get("address") if isinstance(item, dict) else None
    if not isinstance(address, str) or "@" not in address:
        raise ServiceError(400, "BadRequest", "A recipient needs an address.")
    return address


def _operation_id(call: Call) -> str:
    """The customer's id, or one of the service's own."""
    given = call.headers.get("operation-id")
    if given is None:
        return str(uuid.uuid4())
    try:
        uuid.UUID(given)
    except ValueError:
        raise ServiceError(400, "BadRequest", "Operation-Id must be a UUID.") from None
    return given
