"""The benchmarks run. What they measure is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (("call", "--seconds", "1"), "rates"),
        (("sync", "--users", "300", "--rounds", "1"), "untracked"),
    ],
)
def test_a_benchmark_prints_one_json_object(arguments: tuple[str, ...], key: str) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", *arguments, "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
    assert key in json.loads(ended.stdout)
