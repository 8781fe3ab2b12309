"""Dial to message accepted, at several rates, paired with bare POSTs of a message to the same stand-in.

Stand-ins, service and load are three processes. The time of acceptance is the stand-in's own, for both: both are
measured from the moment before the request is sent. Agents differ, so that no call waits for another's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import requests

from connector.calls.effects import Notify, operation_id
from connector.sandbox.organisation import Organisation

LATENCY_MS = 200
RATES = (1, 50)
AGENTS = 3000
SECRET = "bench-secret"
COMMAND = [sys.executable, "-c", "from connector.cli import main; main()"]
IDLE_SECONDS = 3.0
BARE_EVERY = 5
"""A bare POST goes out beside every fifth call."""


@dataclass
class Measured:
    """Milliseconds of one rate."""

    accepted: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)


def measure(seconds: int) -> dict[str, Any]:
    """Runs each rate for `seconds`; percentiles in milliseconds and as ratios to the bare POST."""
    with tempfile.TemporaryDirectory() as folder, sandbox() as info, service(info, Path(folder)) as port:
        load = Load(info, port)
        load.run(RATES[0], 5)  # warm-up: not counted
        return {"latency_ms": LATENCY_MS, "rates": [summary(rate, load.run(rate, seconds)) for rate in RATES]}


def summary(rate: int, measured: Measured) -> dict[str, float]:
    values: dict[str, float] = {"per_second": rate, "calls": len(measured.accepted)}
    for name, of in (("bare", measured.bare), ("accepted", measured.accepted), ("answer", measured.answers)):
        for percent in (50, 99):
            values[f"{name}_p{percent}"] = round(percentile(of, percent), 2)
    for percent in (50, 99):
        values[f"ratio_p{percent}"] = round(values[f"accepted_p{percent}"] / values[f"bare_p{percent}"], 3)
    return values


def percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


class Load:
    """Announces calls at a steady rate, whether or not earlier ones are done."""

    def __init__(self, info: dict[str, str], port: int) -> None:
        self._info = info
        self._port = port
        self._local = threading.local()
        organisation = Organisation.seed(AGENTS)
        self._agents = [agent for agent in organisation.agent_ids if agent not in organisation.defects]
        random.Random(911).shuffle(self._agents)
        self._sent: dict[str, float] = {}
        self._bare: dict[str, float] = {}

    def run(self, rate: int, seconds: int) -> Measured:
        control(self._info, "DELETE", "/mails")
        self._sent.clear()
        self._bare.clear()
        measured = Measured()
        begin = time.monotonic()
        waiting: list[Future[None]] = []
        with ThreadPoolExecutor(32 if rate > 1 else 4) as threads:
            for number in range(rate * seconds):
                time.sleep(max(0.0, begin + number / rate - time.monotonic()))
                waiting.append(threads.submit(self._call, self._agents.pop(), measured))
                if number % BARE_EVERY == 0 or rate == 1:
                    # Half a period later, so that neither of the pair is in the other's way.
                    waiting.append(threads.submit(self._bare_post, 0.5 / rate))
        for done in waiting:
            done.result()
        self._gather(measured, rate * seconds)
        return measured

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
        import ssl  # noqa: PLC0415 (only here)

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

    def _gather(self, measured: Measured, expected: int) -> None:
        """Waits until every call's message is accepted, and reads when."""
        end = time.monotonic() + 60
        while True:
            accepted = {mail["operation_id"]: mail["accepted_at"] for mail in control(self._info, "GET", "/mails")}
            if len(self._sent) == expected and self._sent.keys() <= accepted.keys():
                break
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self._sent.keys() - accepted.keys())} of {expected} messages did not come")
            time.sleep(0.2)
        for wanted, into in ((self._sent, measured.accepted), (self._bare, measured.bare)):
            for operation, started in wanted.items():
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


@contextmanager
def sandbox() -> Iterator[dict[str, str]]:
    command = [*COMMAND, "sandbox", "--json", "--agents", str(AGENTS)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        info = json.loads(process.stdout.readline())
        control(info, "POST", "/latency/acs", {"milliseconds": LATENCY_MS})
        yield info
    finally:
        process.stdin.close()
        process.wait(20)


def control(info: dict[str, str], method: str, path: str, body: Any = None) -> Any:
    answer = requests.request(
        method,
        info["control_url"] + path,
        json=body,
        headers={"x-sandbox-key": info["control_key"]},
        verify=info["ca_file"],
        timeout=30,
    )
    answer.raise_for_status()
    return answer.json() if answer.content else None


@contextmanager
def service(info: dict[str, str], folder: Path) -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    names = ("dataverse_url", "authority", "client_id", "client_secret", "acs_endpoint", "acs_access_key")
    values = {f"EMERGENCY_{name.upper()}": info[name] for name in (*names, "email_sender", "ca_file")}
    values |= {
        "EMERGENCY_STORE_URL": f"sqlite:///{folder}/calls.db",
        "EMERGENCY_WEBHOOK_SECRETS": SECRET,
        "EMERGENCY_FALLBACK_RECIPIENTS": "duty-officer@example.com",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    subprocess.run([*COMMAND, "sync"], env=kept | values, check=True, stdout=subprocess.DEVNULL)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve", "--port", str(port)], env=kept | values, stderr=log)
        try:
            wait_until_ready(port)
            yield port
        finally:
            process.terminate()
            process.wait(20)


def wait_until_ready(port: int) -> None:
    for _ in range(300):
        try:
            requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).raise_for_status()
        except requests.RequestException:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the service did not start")
