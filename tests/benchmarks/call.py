"""Dial to message accepted, at several rates, paired with bare POSTs of a message to the same stand-in; and what a dial
costs the serving process, which no other work on the machine can blur.

Stand-ins, service and load are three processes. The time of acceptance is the stand-in's own, for both: both are
measured from the moment before the request is sent. Agents differ, so that no call waits for another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import ssl
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from connector.calls.effects import Notify, operation_id
from connector.sandbox.organisation import Organisation
from tests.benchmarks.served import SECRET, Service, control, sandbox, service

LATENCY_MS = 200
RATES = (1, 50, 100)
AS_FAST_AS_IT_GOES = 0
SENDERS = 32
"""How many dials are under way at once, at most, where they go as fast as it goes."""
MOST_A_SECOND = 400
"""More than any machine has managed: so many agents there must be."""
IDLE_SECONDS = 3.0
BARE_EVERY = 5
"""A bare POST goes out beside every fifth call."""


@dataclass
class Measured:
    """Milliseconds of one rate, in the order in which the dials were made."""

    accepted: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    seconds: float = 0.0
    """From the first dial to the last answer."""


def measure(seconds: int) -> dict[str, Any]:
    """Runs each rate for `seconds`; percentiles in milliseconds and as ratios to the bare POST, costs by dial."""
    agents = round((seconds * (sum(RATES) + MOST_A_SECOND) + 5) / 0.8)
    with (
        tempfile.TemporaryDirectory() as folder,
        sandbox(agents, LATENCY_MS) as info,
        service(info, Path(folder), 15_000) as serving,
    ):
        load = Load(info, serving.port, agents)
        load.run(RATES[0], 5)  # warm-up: not counted
        idle = serving.idle()
        rates = [_measured(load, serving, rate, seconds, idle) for rate in (*RATES, AS_FAST_AS_IT_GOES)]
    spent = {f"idle_{name}": round(value, 3) for name, value in vars(idle).items() if name != "at"}
    return {"latency_ms": LATENCY_MS, **spent, "rates": rates}


def _measured(load: Load, serving: Service, rate: int, seconds: int, idle: Any) -> dict[str, float]:
    before = serving.spent()
    measured = load.run(rate, seconds)
    each = serving.spent().each(before, len(measured.accepted), idle)
    return summary(rate, measured) | {
        "processor_ms": round(each.processor * 1000, 2),
        "statements": round(each.statements, 2),
        "transactions": round(each.transactions, 2),
    }


def summary(rate: int, measured: Measured) -> dict[str, float]:
    """Percentiles and ratios. `growth`: the later dials' median against the earlier ones'; above 1 a queue grows."""
    dials = len(measured.accepted)
    values: dict[str, float] = {"per_second": rate or round(dials / measured.seconds, 1), "calls": dials}
    for name, of in (("bare", measured.bare), ("accepted", measured.accepted), ("answer", measured.answers)):
        for percent in (50, 99):
            values[f"{name}_p{percent}"] = round(percentile(of, percent), 2)
    for percent in (50, 99):
        values[f"ratio_p{percent}"] = round(values[f"accepted_p{percent}"] / values[f"bare_p{percent}"], 3)
    quarter = max(1, dials // 4)
    early, late = measured.accepted[quarter : 2 * quarter], measured.accepted[-quarter:]
    values["growth"] = round(percentile(late, 50) / percentile(early or late, 50), 3)
    return values


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


class Load:
    """Announces calls at a steady rate, whether or not earlier ones are done; or as fast as they are answered."""

    def __init__(self, info: dict[str, str], port: int, agents: int) -> None:
        self._info = info
        self._port = port
        self._local = threading.local()
        organisation = Organisation.seed(agents)
        self._agents = [agent for agent in organisation.agent_ids if agent not in organisation.defects]
        random.Random(911).shuffle(self._agents)
        self._sent: dict[str, float] = {}
        self._bare: dict[str, float] = {}

    def run(self, rate: int, seconds: int) -> Measured:
        """Dials for so long; `rate` 0: as fast as it goes."""
        control(self._info, "DELETE", "/mails")
        self._sent.clear()
        self._bare.clear()
        measured = Measured()
        begin = time.monotonic()
        waiting: list[Future[None]] = []
        with ThreadPoolExecutor(4 if rate == 1 else 2 * SENDERS) as threads:
            if rate == AS_FAST_AS_IT_GOES:
                waiting += [threads.submit(self._calls, measured, begin + seconds) for _ in range(SENDERS)]
                waiting += [threads.submit(self._bare_post, 0.2 * number) for number in range(5 * seconds)]
            for number in range(rate * seconds):
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))
                waiting.append(threads.submit(self._call, self._agents.pop(), measured))
                if number % BARE_EVERY == 0 or rate == 1:
                    # Half a period later, so that neither of the pair is in the other's way.
                    waiting.append(threads.submit(self._bare_post, 0.5 / rate))
        for done in waiting:
            done.result()
        measured.seconds = time.monotonic() - begin
        self._gather(measured)
        return measured

    def _calls(self, measured: Measured, end: float) -> None:
        while time.monotonic() < end and self._agents:
            self._call(self._agents.pop(), measured)

    def _call(self, agent_id: str, measured: Measured) -> None:
        key = uuid.uuid4().hex
        body = json.dumps(context(agent_id, key)).encode()
        connection = self._connection("service", lambda: HTTPConnection("127.0.0.1", self._port, timeout=30))
        started = time.time()
        connection.request("POST", "/webhooks/dataverse", body, {"x-emergency-secret": SECRET})
        answer = json.loads(connection.getresponse().read())
        measured.answers.append((time.time() - started) * 1000)
        self._sent[first_message(answer["call_id"])] = started

    def _bare_post(self, wait: float) -> None:
        time.sleep(wait)
        operation = str(uuid.uuid4())
        endpoint = urlsplit(self._info["acs_endpoint"])
        target = "/emails:send?api-version=2025-09-01"
        message = {
            "senderAddress": self._info["email_sender"],
            "content": {"subject": "bare", "plainText": "bare", "html": "<p>bare</p>"},
            "recipients": {"to": [{"address": "lead@example.com"}]},
        }
        body = json.dumps(message).encode()
        connection = self._connection("acs", self._tls)
        self._bare[operation] = time.time()
        headers = signed(self._info["acs_access_key"], endpoint.netloc, target, body)
        connection.request("POST", target, body, {**headers, "Operation-Id": operation})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202, answer.status

    def _tls(self) -> HTTPConnection:
        endpoint = urlsplit(self._info["acs_endpoint"])
        trust = ssl.create_default_context(cafile=self._info["ca_file"])
        return HTTPSConnection(endpoint.hostname or "", endpoint.port, timeout=30, context=trust)

    def _connection(self, name: str, make: Callable[[], HTTPConnection]) -> HTTPConnection:
        """One open connection a thread, as a sender in steady use has; never one that was idle long enough to be
        closed by the other side."""
        connection, used = getattr(self._local, name, (None, 0.0))
        now = time.monotonic()
        if connection is None or now - used > IDLE_SECONDS:
            connection = make()
            connection.connect()
        setattr(self._local, name, (connection, now))
        return cast("HTTPConnection", connection)

    def _gather(self, measured: Measured) -> None:
        """Waits until every call's message is accepted, and reads when."""
        end = time.monotonic() + 60
        while True:
            accepted = {mail["operation_id"]: mail["accepted_at"] for mail in control(self._info, "GET", "/mails")}
            if self._sent.keys() <= accepted.keys():
                break
            if time.monotonic() > end:
                missing = len(self._sent.keys() - accepted.keys())
                raise TimeoutError(f"{missing} of {len(self._sent)} messages did not come")
            time.sleep(0.2)
        for wanted, into in ((self._sent, measured.accepted), (self._bare, measured.bare)):
            for operation, started in sorted(wanted.items(), key=lambda sent: sent[1]):
                at = datetime.fromisoformat(accepted[operation]).timestamp()
                into.append((at - started) * 1000)


def first_message(call_id: str) -> str:
    """The operation id of a call's first message."""
    return operation_id(Notify(call_id, "dialled", 0, (), datetime.now(UTC)))


def context(agent_id: str, key: str) -> dict[str, Any]:
    """A RemoteExecutionContext of our Custom API, of the size that Dataverse sends."""
    parameters = {"AgentId": agent_id, "DialledNumber": "911", "CallId": key, "Location": "Room 411"}
    return {
        "BusinessUnitId": str(uuid.uuid4()),
        "CorrelationId": str(uuid.uuid4()),
        "Depth": 1,
        "InitiatingUserAgent": "",
        "InitiatingUserId": str(uuid.uuid4()),
        "InputParameters": [{"key": name, "value": value} for name, value in parameters.items()],
        "MessageName": "ec_EmergencyCallDialled",
        "Mode": 0,
        "OperationCreatedOn": f"/Date({int(time.time() * 1000)})/",
        "OperationId": str(uuid.uuid4()),
        "OutputParameters": [],
        "ParentContext": None,
        "PostEntityImages": [],
        "PreEntityImages": [],
        "PrimaryEntityId": "00000000-0000-0000-0000-000000000000",
        "PrimaryEntityName": "none",
        "RequestId": str(uuid.uuid4()),
        "SharedVariables": [{"key": "IsAutoTransact", "value": True}],
        "Stage": 40,
        "UserId": str(uuid.uuid4()),
    }


def signed(key: str, host: str, target: str, body: bytes) -> dict[str, str]:
    """The headers of an ACS access key."""
    date, digest = formatdate(usegmt=True), base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"POST\n{target}\n{date};{host};{digest}".encode()
    signature = base64.b64encode(hmac.new(base64.b64decode(key), text, hashlib.sha256).digest()).decode()
    return {
        "x-ms-date": date,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
        "Content-Type": "application/json",
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Prints two tables: what a dial costs, and how long it takes."""
    costs = Table("dials/s", "dials", "processor ms", "statements", "transactions", title="A dial, in the service")
    times = Table("dials/s", "", "p50 ms", "p99 ms", "queue", title=f"ACS stand-in answers in {LATENCY_MS} ms")
    for rate in result["rates"]:
        name = f"{rate['per_second']:g}"
        spent = (f"{rate['processor_ms']:.1f}", f"{rate['statements']:.1f}", f"{rate['transactions']:.1f}")
        costs.add_row(name, f"{rate['calls']:g}", *spent)
        times.add_row(name, "bare POST", f"{rate['bare_p50']:.1f}", f"{rate['bare_p99']:.1f}")
        times.add_row("", "dial to accepted", f"{rate['accepted_p50']:.1f}", f"{rate['accepted_p99']:.1f}")
        grown = "grows" if rate["growth"] > 1.25 else "steady"
        times.add_row("", "ratio", f"{rate['ratio_p50']:.2f} x", f"{rate['ratio_p99']:.2f} x", grown)
        times.add_row("", "webhook answered", f"{rate['answer_p50']:.1f}", f"{rate['answer_p99']:.1f}")
    idle = (result["idle_processor"] * 1000, result["idle_statements"], result["idle_transactions"])
    costs.add_row("idle", "a second", f"{idle[0]:.1f}", f"{idle[1]:.1f}", f"{idle[2]:.1f}")
    console.print(costs)
    console.print(times)
