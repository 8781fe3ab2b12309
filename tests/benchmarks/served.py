"""Stand-ins and service as processes of their own, for benchmarks that load them; what the service has spent."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path
from typing import Any

import requests

from connector.store import calls, schema
from connector.store.database import Database

SECRET = "bench-secret"
COMMAND = [sys.executable, "-c", "from connector.cli import main; main()"]
COUNTRIES = ("US", "PR", "CA", "GB", "DK")


@contextmanager
def sandbox(agents: int, latency_ms: int) -> Iterator[dict[str, str]]:
    """The stand-ins, ACS with a latency; gives what `sandbox --json` tells of them."""
    command = [*COMMAND, "sandbox", "--json", "--agents", str(agents)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        info = json.loads(process.stdout.readline())
        control(info, "POST", "/latency/acs", {"milliseconds": latency_ms})
        yield info
    finally:
        process.stdin.close()
        process.wait(20)


def control(info: dict[str, str], method: str, path: str, body: Any = None) -> Any:
    """Asks the stand-ins' control API."""
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


@dataclass(frozen=True)
class Spent:
    """What the service has spent since it began: processor seconds, SQL statements, transactions."""

    at: float
    processor: float
    statements: float
    transactions: float

    def a_second(self, before: Spent) -> Spent:
        """By second, between two looks."""
        seconds = self.at - before.at
        return Spent(seconds, *(value / seconds for value in self._since(before)))

    def each(self, before: Spent, number: int, idle: Spent) -> Spent:
        """For each of a number of dials, without what the service spends when it is idle."""
        seconds = self.at - before.at
        spent = zip(self._since(before), (idle.processor, idle.statements, idle.transactions), strict=True)
        return Spent(seconds, *((value - seconds * rest) / number for value, rest in spent))

    def _since(self, before: Spent) -> tuple[float, float, float]:
        return (
            self.processor - before.processor,
            self.statements - before.statements,
            self.transactions - before.transactions,
        )


@dataclass(frozen=True)
class Service:
    """A serving process."""

    port: int

    def spent(self) -> Spent:
        """Read from its metrics, both databases together."""
        lines = self._get("/metrics").text.splitlines()

        def total(name: str) -> float:
            return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

        return Spent(
            time.monotonic(),
            total("process_cpu_seconds_total"),
            total("emergency_store_statements_total"),
            total("emergency_store_transactions_total"),
        )

    def idle(self, seconds: float = 5.0) -> Spent:
        """What it spends by second while nothing happens."""
        before = self.spent()
        time.sleep(seconds)
        return self.spent().a_second(before)

    def wait_until_ready(self) -> None:
        """Waits until it answers and the sync that it begins with is done."""
        began = time.monotonic()
        for _ in range(600):
            try:
                age = self._get("/readyz").json()["directory_age_seconds"]["acs"]
            except requests.RequestException:
                age = None
            if age is not None and age < time.monotonic() - began:
                return
            time.sleep(0.1)
        raise TimeoutError("the service did not start")

    def _get(self, path: str) -> requests.Response:
        answer = requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=10)
        answer.raise_for_status()
        return answer


@contextmanager
def service(info: dict[str, str], folder: Path, numbers: int) -> Iterator[Service]:
    """A service on SQLite with a pool of so many callback numbers a country, synced and ready."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
    names = ("dataverse_url", "authority", "client_id", "client_secret", "acs_endpoint", "acs_access_key")
    values = {f"EMERGENCY_{name.upper()}": info[name] for name in (*names, "email_sender", "ca_file")}
    values |= {
        "EMERGENCY_STORE_URL": f"sqlite:///{folder}/calls.db",
        "EMERGENCY_WEBHOOK_SECRETS": SECRET,
        "EMERGENCY_FALLBACK_RECIPIENTS": "duty-officer@example.com",
        "EMERGENCY_SYNC_MINUTES": "600",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    subprocess.run([*COMMAND, "sync"], env=kept | values, check=True, stdout=subprocess.DEVNULL)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*COMMAND, "serve", "--port", str(port)], env=kept | values, stderr=log)
        try:
            running = Service(port)
            running.wait_until_ready()
            fill_pool(values["EMERGENCY_STORE_URL"], numbers)
            yield running
        finally:
            process.terminate()
            process.wait(20)


def fill_pool(store_url: str, numbers: int) -> None:
    """More numbers than the stand-in owns, so that every dial leases one; all from the range reserved for examples,
    whatever the country."""
    reserved = (f"+1{area}55501{last:02}" for area, last in product(range(200, 1000), range(100)))
    store = Database(store_url, schema.metadata, "calls")
    with store.write() as connection:
        calls.set_pool(connection, {number: code for code in COUNTRIES for number in islice(reserved, numbers)})
    store.close()
