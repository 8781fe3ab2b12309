"""`scripts/bench NAME [--json]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version
from typing import Any

from rich.console import Console

from tests.benchmarks import call, sync, validate


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the connector against the stand-ins.")
    commands = parser.add_subparsers(dest="name", required=True)
    calls = commands.add_parser("call", help="dial to message accepted, against a bare POST of the same message")
    calls.add_argument("--seconds", type=int, default=20, help="how long each rate is kept")
    validations = commands.add_parser("validate", help="the prerequisites of 10,000 and of 100,000 agents")
    validations.add_argument("--agents", type=int, nargs="+", default=[10_000, 100_000])
    syncs = commands.add_parser("sync", help="a first sync, against clients that only read; its memory; a delta")
    syncs.add_argument("--users", type=int, default=50_000)
    syncs.add_argument("--rounds", type=int, default=5)
    syncs.add_argument("--million", action="store_true", help="memory and delta with 1,000,000 users too (slow)")
    syncs.add_argument("--airbyte", action="store_true", help="its source too, installed into .cache where it can be")
    for command in commands.choices.values():
        command.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    if chosen.name == "validate":
        measured, shown = validate.measure(chosen.agents), validate.show
    elif chosen.name == "sync":
        measured, shown = _sync(chosen), sync.show
    else:
        measured, shown = call.measure(chosen.seconds), call.show
    result = {"machine": machine(), **measured}
    if chosen.json:
        json.dump(result, sys.stdout)
        print()
    else:
        console = Console()
        console.print(", ".join(f"{name} {value}" for name, value in machine().items()))
        shown(result, console)


def _sync(chosen: argparse.Namespace) -> dict[str, Any]:
    return sync.measure(chosen.users, chosen.rounds, million=chosen.million, with_airbyte=chosen.airbyte)


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "connector": version("emergency-connector"),
    }


main()
