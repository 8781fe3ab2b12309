"""What is imported is declared, and the changelog knows the version."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OF_THE_SANDBOX = ("connector/sandbox", "connector/demo")
VERSION = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    return {normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in requirements}


@cache
def distributions() -> dict[str, list[str]]:
    """By top-level package; for the shared package `azure`, by the packages below it."""
    found = dict(packages_distributions())
    declared = names(PROJECT["dependencies"])
    found["azure.core"] = ["azure-core"]
    services = {name.removeprefix("azure-communication-") for name in declared if "communication" in name}
    return found | {f"azure.communication.{service}": [f"azure-communication-{service}"] for service in services}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [node.module]
        yield from modules


def distribution(module: str) -> str | None:
    """Which one a module comes from; None for Python's own and ours."""
    top = module.split(".", maxsplit=1)[0]
    if top in sys.stdlib_module_names or top == "connector":
        return None
    parts = module.split(".")
    known = distributions()
    for end in range(len(parts), 0, -1):
        if found := known.get(".".join(parts[:end])):
            return normal(found[0])
    raise AssertionError(f"no installed distribution has {module}")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "connector").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_is_imported_is_declared(path: Path) -> None:
    declared = names(PROJECT["dependencies"])
    if str(path.relative_to(ROOT)).startswith(OF_THE_SANDBOX):
        declared |= names(PROJECT["optional-dependencies"]["sandbox"])
    needed = {found for module in imported(path) if (found := distribution(module))}
    assert needed - declared == set()


def test_imports_are_really_found() -> None:
    assert distribution("azure.communication.email") == "azure-communication-email"
    assert distribution("azure.core.rest") == "azure-core"
    assert distribution("jwt") == "pyjwt"
    assert distribution("json") is None


def test_clients_of_a_service_that_ends_stay_below_their_next_major() -> None:
    wanted = [need for need in PROJECT["dependencies"] if need.startswith("azure-communication-")]
    assert len(wanted) == 3
    assert all(re.fullmatch(r"[a-z-]+>=1\.\d+,<2", need) for need in wanted)


def test_changelog_and_version_agree() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = VERSION.findall(changelog)
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert not released or released[0] == PROJECT["version"]
    headings = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert headings[0] == "[Unreleased]" or VERSION.match(f"## {headings[0]}")
