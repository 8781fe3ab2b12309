"""A first sync of users, storing included, paired with clients that only read them; memory; the cost of a delta.

The stand-in is a process of its own. All read the same rows and columns in the same run, in turns; the fastest of the
rounds counts. The official SDK cannot track changes, so it is compared where nobody does.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.table import Table

from connector import logs, settings
from connector.assembly import Connector
from connector.dataverse.client import API, PAGE_SIZE
from connector.directory.sync import Sync
from connector.directory.table_sync import TRACKED, UNTRACKED
from connector.mappings import TableMapping
from tests.benchmarks import airbyte
from tests.benchmarks.served import COMMAND, control

CHANGES = 100
PEAK = "from connector.cli import app; app(['sync'], standalone_mode=False); print(open('/proc/self/status').read())"
"""The command in a process that tells its own memory, as Linux counts it."""
NAMES = ("dataverse_url", "authority", "client_id", "client_secret", "acs_endpoint", "acs_access_key", "email_sender")


def measure(users: int, rounds: int, *, million: bool, with_airbyte: bool) -> dict[str, Any]:
    """Seconds of each contender with and without change tracking; memory of the real command; requests of a delta."""
    logs.configure(level="critical")
    rival = airbyte.install() if with_airbyte else ""
    result: dict[str, Any] = {"users": users, "rounds": rounds, "airbyte": rival}
    with stand_in(users) as info:
        result["sdk"] = version("PowerPlatform-Dataverse-Client")
        result["tracked"] = _race(info, rounds, rival=bool(rival), tracked=True)
        control(info, "POST", "/options/dataverse", {"untracked_tables": ["systemuser"]})
        result["untracked"] = _race(info, rounds, rival=bool(rival), tracked=False)
        control(info, "POST", "/options/dataverse", {"untracked_tables": []})
        result["whole"] = [_whole(info, users)]
    if million:
        with stand_in(1_000_000) as info:
            result["whole"].append(_whole(info, 1_000_000))
    return result


@contextmanager
def stand_in(agents: int) -> Iterator[dict[str, str]]:
    command = [*COMMAND, "sandbox", "--json", "--agents", str(agents)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        info = json.loads(process.stdout.readline())
        control(info, "POST", "/options/dataverse", {"request_limit": None, "execution_limit": None})
        yield info
    finally:
        process.stdin.close()
        process.wait(60)


@contextmanager
def connected(info: dict[str, str], folder: str) -> Iterator[Connector]:
    given = {f"EMERGENCY_{name.upper()}": info[name] for name in (*NAMES, "ca_file")}
    with Connector(settings.given(given, store_url=f"sqlite:///{folder}/calls.db")) as connector:
        yield connector


def _race(info: dict[str, str], rounds: int, *, rival: bool, tracked: bool) -> dict[str, float]:
    """The fastest seconds of each contender."""
    best: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder, connected(info, folder) as connector:
        mapping = connector.mappings.tables["agents"]
        token = connector.tokens.token(f"{info['dataverse_url']}/.default")
    contenders: dict[str, Callable[[], float]] = {
        "bare": lambda: timed(lambda: bare(info, mapping, token, TRACKED if tracked else UNTRACKED)),
        "stored": lambda: stored(info),
    }
    if not tracked:
        contenders["sdk"] = lambda: timed(lambda: official(info, mapping, token))
    if rival:
        contenders["airbyte"] = lambda: airbyte.read(info, mapping, token, tracked=tracked)
    for _ in range(rounds):
        for name, seconds in contenders.items():
            best[name] = min(best.get(name, math.inf), seconds())
    return best


def timed(read: Callable[[], int]) -> float:
    began = time.perf_counter()
    assert read() > 0
    return time.perf_counter() - began


def stored(info: dict[str, str]) -> float:
    """A first sync of the users into a new file."""
    with tempfile.TemporaryDirectory() as folder, connected(info, folder) as connector:
        only = replace(connector.mappings, tables={"agents": connector.mappings.tables["agents"]})
        sync = Sync(connector.dataverse, connector.directory_store, only, connector.clock)
        connector.tokens.token(f"{info['dataverse_url']}/.default")  # the others have theirs already
        return timed(lambda: sync.run()[0].read)


def bare(info: dict[str, str], mapping: TableMapping, token: str, prefer: str) -> int:
    """What downloading and parsing alone costs."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "Prefer": prefer}
    link, rows = f"{info['dataverse_url']}{API}{mapping.set}?$select={mapping.select}", 0
    with requests.Session() as session:
        session.trust_env, session.verify = False, info["ca_file"]
        while link:
            page = session.get(link, headers=headers, timeout=60).json()
            rows += len(page["value"])
            link = page.get("@odata.nextLink", "")
    return rows


def official(info: dict[str, str], mapping: TableMapping, token: str) -> int:
    """The official SDK reads the same rows and columns."""
    from azure.core.credentials import AccessToken  # noqa: PLC0415 (only here, with all that they import)
    from PowerPlatform.Dataverse.client import DataverseClient  # noqa: PLC0415

    class Credential:
        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            return AccessToken(token, 4_000_000_000)

    os.environ["REQUESTS_CA_BUNDLE"] = info["ca_file"]
    with DataverseClient(info["dataverse_url"], Credential()) as client:
        pages = client.records.list_pages(mapping.table, select=mapping.select.split(","), page_size=PAGE_SIZE)
        return sum(len(list(page)) for page in pages)


def _whole(info: dict[str, str], users: int) -> dict[str, Any]:
    """Every table: the command in a process of its own, then what a sync costs after some changes."""
    with tempfile.TemporaryDirectory() as folder:
        return {"users": users, **_command(info, folder), **_delta(info, folder)}


def _command(info: dict[str, str], folder: str) -> dict[str, float]:
    """Seconds and megabytes of `emergency-connector sync`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    given = {f"EMERGENCY_{name.upper()}": info[name] for name in (*NAMES, "ca_file")}
    given["EMERGENCY_STORE_URL"] = f"sqlite:///{folder}/calls.db"
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", PEAK], env=kept | given, stdout=subprocess.PIPE, text=True, check=True
    )
    seconds = time.perf_counter() - began
    size = sum(file.stat().st_size for file in Path(folder).iterdir())
    peak = next(int(line.split()[1]) for line in ended.stdout.splitlines() if line.startswith("VmHWM:"))
    return {"seconds": seconds, "peak_mb": peak / 1024, "file_mb": size / 2**20}


def _delta(info: dict[str, str], folder: str) -> dict[str, Any]:
    """Requests and seconds of a sync after changes to some users."""
    with connected(info, folder) as connector:
        _change_users(connector)
        control(info, "DELETE", "/requests")
        began = time.perf_counter()
        results = connector.sync()
        seconds = time.perf_counter() - began
        seen = [entry["target"] for entry in control(info, "GET", "/requests?service=dataverse")]
        sets = [f"{API}{table.set}?" for table in connector.mappings.tables.values()]
    assert sum(result.read for result in results) == CHANGES
    most = max(sum(name in target for target in seen) for name in sets)
    return {"delta_seconds": seconds, "delta_requests": len(seen), "most_a_table": most}


def _change_users(connector: Connector) -> None:
    mapping = connector.mappings.tables["agents"]
    with connector.directory_store.read() as connection:
        ids = connection.exec_driver_sql("select id from agents order by id").scalars().fetchmany(CHANGES)
    for row_id in ids:
        row = connector.dataverse.get(f"{mapping.set}({row_id})?$select={mapping.id}")
        change = {mapping.columns["name"]: f"Changed {time.monotonic_ns()}"}
        connector.dataverse.update(mapping.set, row_id, change, etag=row["@odata.etag"])


def show(result: dict[str, Any], console: Console) -> None:
    title = f"{result['users']:,} users, fastest of {result['rounds']} rounds"
    table = Table("", "with change tracking", "ratio", "without", "ratio", title=title)
    tracked, untracked = result["tracked"], result["untracked"]
    names = {
        "bare": "bare requests loop",
        "stored": "sync, stored",
        "sdk": f"official SDK {result['sdk']}",
        "airbyte": f"{airbyte.PACKAGE} {result['airbyte'] or '(not installed)'}",
    }
    for name, title in names.items():
        table.add_row(title, *(cell for times in (tracked, untracked) for cell in _cells(times, name)))
    console.print(table)
    columns = ("users", "seconds", "peak MB", "file MB", f"{CHANGES} changes, s", "requests", "most a table")
    whole = Table(*columns, title="`emergency-connector sync`: every table")
    for entry in result["whole"]:
        first = (f"{entry['users']:,}", *(f"{entry[name]:.0f}" for name in ("seconds", "peak_mb", "file_mb")))
        whole.add_row(*first, f"{entry['delta_seconds']:.2f}", str(entry["delta_requests"]), str(entry["most_a_table"]))
    console.print(whole)


def _cells(times: dict[str, float], name: str) -> tuple[str, str]:
    if name not in times:
        return "", ""
    return f"{times[name]:.2f} s", f"{times[name] / times['bare']:.2f} x"
