"""Validation of a whole organisation from its directory: seconds and peak memory, by number of agents and by format.

Each measurement is a process of its own that runs the command as a scheduler would, so its peak memory is its own;
"whole" counts from its start to its end; "seconds" leaves out the interpreter and the imports, which a service has
behind it; "processor" is the processor time of the whole process, which other work on the machine does not change.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from connector import mappings as mapping_files
from connector.acs.numbers import PurchasedNumber, Route, Routing
from connector.clock import SystemClock
from connector.dataverse import pages
from connector.directory import rows
from connector.directory.reader import Directory
from connector.numbers import pool
from connector.sandbox.organisation import Organisation
from connector.store import directory_schema, schema
from connector.store.database import Database

FORMATS = ("table", "csv", "json", "junit", "html")
_RUN = """
import resource, sys, time
from connector.cli import main
started = time.perf_counter()
try:
    main()
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, file=sys.stderr)
"""


def measure(sizes: Sequence[int]) -> dict[str, Any]:
    """Seconds and MB of each format for each number of agents. Aims: 10,000 in 1 s, 100,000 in 10 s, memory flat."""
    return {"runs": [run for agents in sizes for run in _of_size(agents)]}


def _of_size(agents: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="emergency-bench-") as folder:
        # In a process of its own: the organisation in memory would count as ours.
        subprocess.run([sys.executable, "-m", __name__, folder, str(agents)], check=True)
        return [{"agents": agents, "format": kind, **_one(Path(folder), kind)} for kind in FORMATS]


def _one(folder: Path, kind: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EMERGENCY_")}
    environment = kept | {
        "EMERGENCY_STORE_URL": f"sqlite:///{folder}/calls.db",
        "EMERGENCY_EMAIL_SENDER": "a@example.com",
    }
    output = folder / f"report.{kind}"
    started = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-c", _RUN, "validate", "--format", kind, "--output", str(output)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    whole = time.perf_counter() - started
    if ended.returncode != 1:
        raise RuntimeError(f"the validation ended with {ended.returncode}: {ended.stderr[-500:]}")
    seconds, processor, megabytes = ended.stderr.split()[-3:]
    return {
        "seconds": round(float(seconds), 2),
        "whole": round(whole, 2),
        "processor": round(float(processor), 2),
        "megabytes": int(megabytes),
        "file_kb": output.stat().st_size // 1024,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Prints the table."""
    table = Table("agents", "format", "seconds", "whole process", "processor", "peak MB", "file MB", title="Validation")
    for run in result["runs"]:
        size = f"{run['file_kb'] / 1024:.1f}"
        times = (f"{run[name]:.2f}" for name in ("seconds", "whole", "processor"))
        table.add_row(f"{run['agents']:,}", run["format"], *times, str(run["megabytes"]), size)
    console.print(table)


def seed(folder: Path, agents: int) -> None:
    """Stores a seeded organisation as a sync would have."""
    organisation, mappings = Organisation.seed(agents), mapping_files.load()
    directory = Database(f"sqlite:///{folder}/calls-directory.db", directory_schema.metadata, "directory")
    store = Database(f"sqlite:///{folder}/calls.db", schema.metadata, "calls")
    for database in (directory, store):
        database.migrate()
    now = SystemClock().now()
    with directory.write() as connection:
        for name, mapping in mappings.tables.items():
            found = pages.rows(organisation.tables.get(mapping.table, []), mapping.selected)
            for start in range(0, len(found), 5_000):
                rows.store(connection, rows.batch(mapping, found[start : start + 5_000], 1))
            values = {"name": name, "generation": 1, "rows": len(found), "completed_at": now}
            connection.execute(directory_schema.sync_progress.insert().values(**values))
    owned = [
        PurchasedNumber(row["phoneNumber"], row["countryCode"], row["capabilities"]["calling"], row["phoneNumberType"])
        for row in organisation.acs_numbers
    ]
    routes = tuple(Route(route["name"], route["numberPattern"]) for route in organisation.sip["routes"])
    pool.store_facts(directory, owned, Routing(len(organisation.sip["trunks"]), routes), now)
    pool.fill(store, Directory(directory, mappings), owned, ())
    directory.close()
    store.close()


if __name__ == "__main__":
    seed(Path(sys.argv[1]), int(sys.argv[2]))
