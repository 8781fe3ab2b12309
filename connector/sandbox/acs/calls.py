"""Incoming calls and what may be done with one: redirect, answer, reject (CallAutomation contract 2026-03-12).

A call rings for 30 s; whoever wants it must act on the `incomingCallContext` of its event before that.
"""

from __future__ import annotations

import base64
import secrets
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from connector.clock import Clock
from connector.sandbox.acs.callbacks import Callbacks, Connection
from connector.sandbox.acs.identifiers import from_text, text
from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.acs.responses import Call, ServiceError
from connector.sandbox.events import INCOMING_CALL, Event

CONTEXT_BYTES = 6000  # the opaque context is about 8 kB of base64 on the wire
KEPT = timedelta(hours=1)
REASONS = ("none", "busy", "forbidden")


@dataclass
class Ringing:
    """A call that rings, or rang."""

    caller: dict[str, Any]
    called: dict[str, Any]
    since: datetime
    server_call_id: str
    correlation_id: str
    taken: bool = False


@dataclass(frozen=True)
class Redirect:
    """A call that was sent on: who called which number, to whom it went, when. Numbers as `+…`, identities as ids."""

    caller: str
    called: str
    target: str
    at: datetime
    server_call_id: str


@dataclass(frozen=True)
class Reject:
    """A call that was refused."""

    caller: str
    called: str
    reason: str
    at: datetime


class Calls:
    """The handlers of `/calling/callConnections`, and the making of calls."""

    def __init__(
        self,
        clock: Clock,
        options: AcsOptions,
        topic: str,
        publish: Callable[[Event, float], None],
        callbacks: Callbacks,
    ) -> None:
        self._clock = clock
        self._options = options
        self._topic = topic
        self._publish = publish
        self._callbacks = callbacks
        self._ringing: dict[str, Ringing] = {}
        self._lock = threading.Lock()
        self.redirects: list[Redirect] = []
        self.rejects: list[Reject] = []
        self.connections: dict[str, Connection] = {}

    def ring(self, from_: str, to: str, *, call_ids: tuple[str, str] | None = None) -> Event:
        """A call arrives: publishes IncomingCall and returns it. Numbers begin with `+`, identities with `8:acs:`."""
        now = self._clock.now()
        caller, called = from_text(from_), from_text(to)
        server_call_id, correlation_id = call_ids or (
            base64.b64encode(f"https://conversation.example/{uuid.uuid4()}".encode()).decode(),
            str(uuid.uuid4()),
        )
        context = base64.b64encode(secrets.token_bytes(CONTEXT_BYTES)).decode()
        data = {
            "to": called,
            "from": caller,
            "serverCallId": server_call_id,
            "callerDisplayName": "",
            "customContext": {"sipHeaders": {}, "voipHeaders": {}},
            "incomingCallContext": context,
            "correlationId": correlation_id,
        }
        subject = f"/caller/{caller['rawId']}/recipient/{called['rawId']}"
        event = Event(INCOMING_CALL, subject, data, now, self._topic)
        with self._lock:
            self._forget(now)
            self._ringing[context] = Ringing(caller, called, now, server_call_id, correlation_id)
        self._publish(event, 0.0)
        return event

    def redirect(self, call: Call) -> Response:
        """Sends a ringing call on. Whether the target picks up is never told."""
        body = call.json()
        target = text(body.get("target"))
        ringing = self._take(body)
        from_pstn = ringing.caller["kind"] == "phoneNumber"
        if target.startswith("+") and not from_pstn:
            self._put_back(ringing)
            raise ServiceError(400, "BadRequest", "A VoIP call cannot be redirected to a number.", target="target")
        redirect = Redirect(
            text(ringing.caller), text(ringing.called), target, self._clock.now(), ringing.server_call_id
        )
        self.redirects.append(redirect)
        if from_pstn and target.startswith("8:acs:") and self._options.second_incoming_call:
            self.ring(
                text(ringing.caller),
                target,
                call_ids=(ringing.server_call_id, ringing.correlation_id),
            )
        return Response(status_code=204)

    def reject(self, call: Call) -> Response:
        """Refuses a ringing call, with one of the reasons of the contract."""
        body = call.json()
        reason = body.get("callRejectReason") or "none"
        if reason not in REASONS:
            raise ServiceError(400, "BadRequest", f"{reason!r} is not a reason.", target="callRejectReason")
        ringing = self._take(body)
        self.rejects.append(Reject(text(ringing.caller), text(ringing.called), reason, self._clock.now()))
        return Response(status_code=204)

    def answer(self, call: Call) -> Response:
        """Takes a ringing call; its events go to `callbackUri`, in the order that was recorded."""
        body = call.json()
        callback = body.get("callbackUri")
        if not isinstance(callback, str) or not callback.startswith(("https://", "http://")):
            raise ServiceError(400, "BadRequest", "callbackUri is required.", target="callbackUri")
        ringing = self._take(body)
        connection = Connection(
            key=str(uuid.uuid4()),
            server_call_id=ringing.server_call_id,
            correlation_id=ringing.correlation_id,
            callback=callback,
            context=body.get("operationContext"),
            caller=ringing.caller,
            called=ringing.called,
            answered_at=self._clock.now(),
        )
        self.connections[connection.key] = connection
        self._callbacks.send(connection, "ParticipantsUpdated", "CallConnected")
        return JSONResponse(_properties(connection))

    def hang_up(self, connection_id: str) -> None:
        """The caller hangs up an answered call; KeyError for an unknown one."""
        connection = self.connections[connection_id]
        connection.state = "disconnected"
        self._callbacks.send(connection, "CallDisconnected")

    def _take(self, body: dict[str, Any]) -> Ringing:
        """The call of a context, which only one request gets, and only while it rings."""
        longest = timedelta(seconds=self._options.ringing_seconds)
        with self._lock:
            ringing = self._ringing.get(str(body.get("incomingCallContext", "")))
            if ringing is None or ringing.taken or self._clock.now() - ringing.since > longest:
                raise ServiceError(
                    self._options.stale_call_status,
                    "BadRequest",
                    "The incomingCallContext is unknown, used or expired.",
                    target="incomingCallContext",
                )
            ringing.taken = True
        return ringing

    def _forget(self, now: datetime) -> None:
        """Drops the contexts of long ago: a benchmark makes many, and each is large. The oldest comes first."""
        while self._ringing:
            context, ringing = next(iter(self._ringing.items()))
            if now - ringing.since <= KEPT:
                return
            del self._ringing[context]

    def _put_back(self, ringing: Ringing) -> None:
        with self._lock:
            ringing.taken = False


def _properties(connection: Connection) -> dict[str, Any]:
    """CallConnectionProperties; `answeredFor` is the number that was called, where it was a number."""
    properties: dict[str, Any] = {
        "callConnectionId": connection.key,
        "serverCallId": connection.server_call_id,
        "targets": [connection.called],
        "callConnectionState": "connecting",
        "callbackUri": connection.callback,
        "source": connection.caller,
        "sourceDisplayName": "",
        "correlationId": connection.correlation_id,
    }
    if connection.called["kind"] == "phoneNumber":
        properties["answeredFor"] = connection.called["phoneNumber"]
    return properties
