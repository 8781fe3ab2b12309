"""Faults, latency and the request log, as a layer around each stand-in's app.

Without a fault set, a request passes through with one look at the plan and one entry in the log.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connector.clock import Clock

LOG_ENTRIES = 5000
Cut = Literal["before", "after"]
Outage = Literal["cut", "unavailable"]
# Headers whose value is a secret, or contains one.
SECRET_HEADERS = frozenset({b"authorization", b"cookie", b"x-sandbox-key", b"proxy-authorization"})


@dataclass
class Fault:
    """One kind of disturbance of the next matching requests.

    With `cut` the connection is dropped without an answer, before or after the request took effect; otherwise the
    answer is `status` with `headers` and `body`, and the app never sees the request. `times` 0 means always.
    """

    status: int = 503
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    method: str = ""
    path: str = ""
    times: int = 1
    cut: Cut | None = None

    def __post_init__(self) -> None:
        if self.cut not in (None, "before", "after"):
            raise ValueError("cut is before or after")
        if not 200 <= self.status <= 599:
            raise ValueError("status is an HTTP status of a final answer")
        try:
            self._method = re.compile(self.method, re.IGNORECASE)
            self._path = re.compile(self.path)
        except re.error as error:
            raise ValueError(f"not a pattern: {error}") from error

    def matches(self, method: str, target: str) -> bool:
        """Whether the patterns are found in the method and the raw target; an empty one is found everywhere."""
        return bool(self._method.search(method) and self._path.search(target))


@dataclass
class Plan:
    """What is wrong with one service at the moment."""

    latency: float = 0.0
    outage: Outage | None = None
    faults: list[Fault] = field(default_factory=list)


@dataclass
class Seen:
    """A request that came in; status None while it is under way, or when its connection was cut."""

    service: str
    at: datetime
    method: str
    target: str
    raw_headers: list[tuple[bytes, bytes]]
    size: int
    status: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The headers, names in lower case, secrets replaced by stars (the scheme of an Authorization stays)."""
        return {name.decode("latin-1"): _shown(name, value) for name, value in self.raw_headers}

    def as_json(self) -> dict[str, Any]:
        """The entry as the control interface shows it."""
        return {
            "service": self.service,
            "at": self.at.isoformat(),
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "size": self.size,
            "status": self.status,
        }


class Faults:
    """The disturbances of all services by name, and the log of their requests. Safe to use from any thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._plans: dict[str, Plan] = {}
        self._log: deque[Seen] = deque(maxlen=LOG_ENTRIES)
        self._lock = threading.Lock()

    def wrap(self, service: str, app: ASGIApp) -> ASGIApp:
        """The app of a service, with its disturbances around it."""
        plan = self._plans.setdefault(service, Plan())

        async def disturbed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            seen = self._note(service, scope)
            if plan.latency:
                await asyncio.sleep(plan.latency)
            fault = self._next_fault(plan, seen) if plan.outage or plan.faults else None
            if fault is None:
                await app(scope, receive, _noting(seen, send))
            elif fault.cut is None:
                await _answer(fault, _noting(seen, send))
            else:
                if fault.cut == "after":
                    await app(scope, receive, _swallow)
                await _cut_connection(receive, send)

        return disturbed

    @property
    def services(self) -> list[str]:
        """The names that can be disturbed."""
        return list(self._plans)

    def set_latency(self, service: str, milliseconds: float) -> None:
        """Every answer of a service is that much later; requests wait side by side, without threads."""
        if milliseconds < 0:
            raise ValueError("latency is not negative")
        self._plan(service).latency = milliseconds / 1000

    def set_outage(self, service: str, outage: Outage | None = "cut") -> None:
        """The service is down: connections are `cut`, or answered 503 (`unavailable`); None brings it back."""
        if outage not in (None, "cut", "unavailable"):
            raise ValueError("outage is cut or unavailable")
        self._plan(service).outage = outage

    def add(self, service: str, fault: Fault) -> None:
        """The next matching requests meet this fault; faults are looked at in the order they were added."""
        with self._lock:
            self._plan(service).faults.append(fault)

    def clear(self, service: str | None = None) -> None:
        """Everything works again, in one service or all."""
        for name in [service] if service else self.services:
            with self._lock:
                plan = self._plan(name)
                plan.latency, plan.outage = 0.0, None
                plan.faults.clear()

    def pending(self, service: str) -> list[Fault]:
        """The faults that have not been used up."""
        with self._lock:
            return list(self._plan(service).faults)

    def log(self, service: str | None = None) -> list[Seen]:
        """The requests that came in, oldest first; the last few thousand are kept."""
        with self._lock:
            return [seen for seen in self._log if service is None or seen.service == service]

    def clear_log(self) -> None:
        """Forgets the requests so far."""
        with self._lock:
            self._log.clear()

    def _plan(self, service: str) -> Plan:
        if service not in self._plans:
            raise ValueError(f"no such service: {service}; there are {', '.join(self._plans)}")
        return self._plans[service]

    def _note(self, service: str, scope: Scope) -> Seen:
        raw: bytes = scope["raw_path"]
        if scope["query_string"]:
            raw += b"?" + scope["query_string"]
        headers = scope["headers"]
        length = next((value for name, value in headers if name == b"content-length"), b"0")
        size = int(length) if length.isdigit() else 0
        seen = Seen(service, self._clock.now(), scope["method"], raw.decode("latin-1"), headers, size)
        with self._lock:
            self._log.append(seen)
        return seen

    def _next_fault(self, plan: Plan, seen: Seen) -> Fault | None:
        if plan.outage:
            return Fault(cut="before") if plan.outage == "cut" else Fault(status=503)
        with self._lock:
            for fault in plan.faults:
                if fault.matches(seen.method, seen.target):
                    if fault.times == 1:
                        plan.faults.remove(fault)
                    elif fault.times:
                        fault.times -= 1
                    return fault
        return None


def _noting(seen: Seen, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            seen.status = message["status"]
        await send(message)

    return noting


async def _answer(fault: Fault, send: Send) -> None:
    body = fault.body.encode()
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in fault.headers.items()]
    if not any(name == b"content-type" for name, _ in headers):
        headers.append((b"content-type", b"application/json"))
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _swallow(message: Message) -> None:
    """Where the answer of a request goes whose connection will be cut."""


async def _cut_connection(receive: Receive, send: Send) -> None:
    """Drops the connection without a byte. ASGI has no word for it, so uvicorn's own transport is reached for."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise RuntimeError("the server does not show its transport; cutting needs uvicorn")
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass


def _shown(name: bytes, value: bytes) -> str:
    if name not in SECRET_HEADERS:
        return value.decode("latin-1")
    scheme, blank, _ = value.decode("latin-1").partition(" ")
    return f"{scheme} ***" if blank else "***"
