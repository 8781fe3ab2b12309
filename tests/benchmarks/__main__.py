"""`scripts/bench NAME [--json]`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from tests.benchmarks import call


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measures the connector against the stand-ins.")
    commands = parser.add_subparsers(dest="name", required=True)
    calls = commands.add_parser("call", help="dial to message accepted, against a bare POST of the same message")
    calls.add_argument("--seconds", type=int, default=20, help="how long each rate is kept")
    calls.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    result = {"machine": machine(), **call.measure(chosen.seconds)}
    if chosen.json:
        json.dump(result, sys.stdout)
        print()
    else:
        show(result)


def machine() -> dict[str, str | int | None]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "connector": version("emergency-connector"),
    }


def show(result: dict[str, object]) -> None:
    console = Console()
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()))
    table = Table("calls/s", "calls", "", "p50 ms", "p99 ms", title="ACS stand-in answers in 200 ms")
    rates: list[dict[str, float]] = result["rates"]  # type: ignore[assignment]  # the shape that `measure` returns
    for rate in rates:
        first = (f"{rate['per_second']:g}", f"{rate['calls']:g}")
        table.add_row(*first, "bare POST", f"{rate['bare_p50']:.1f}", f"{rate['bare_p99']:.1f}")
        table.add_row("", "", "dial to accepted", f"{rate['accepted_p50']:.1f}", f"{rate['accepted_p99']:.1f}")
        table.add_row("", "", "ratio", f"{rate['ratio_p50']:.2f} x", f"{rate['ratio_p99']:.2f} x")
        table.add_row("", "", "webhook answered", f"{rate['answer_p50']:.1f}", f"{rate['answer_p99']:.1f}")
    console.print(table)


main()
