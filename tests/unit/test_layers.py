"""A room knows only the rooms below it, and Dataverse's names stand in `mappings/` alone."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from connector import mappings as mapping_files

ROOT = Path(__file__).parents[2]
ROOMS = (
    *("errors", "clock", "logs", "metrics", "e164", "settings", "mappings", "http"),
    "calls",
    "store",
    *("dataverse", "acs"),
    *("notifications", "announcements"),
    "directory",
    *("prerequisites", "reports"),
    "numbers",
    "engine",
    "effects",
    "assembly",
    "sandbox",
    "service",
    "demo",
    "cli",
)
"""Every room, from the ground up: each may import those before it, and no other."""
CLIENTS = ("connector.dataverse", "connector.acs", "connector.http")
STORE = ("connector.store",)
SHELL = ("connector.service", "connector.cli", "connector.assembly", "connector.engine", "connector.effects")
LIBRARIES_OF_CLIENTS = ("requests", "msal", "azure", "sqlalchemy", "alembic", "fastapi", "uvicorn", "urllib3")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "connector").rglob("*.py"))
}
DATAVERSE_NAME = re.compile(r"msdyn_\w+")


def inside(name: str, rooms: tuple[str, ...]) -> bool:
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def in_rooms(*rooms: str) -> list[str]:
    found = [name for name in MODULES if inside(name, rooms)]
    assert found, f"no modules in {rooms}: has the room moved?"
    return found


@cache
def imports(module: str) -> frozenset[str]:
    """Everything that a module imports, anywhere in it: modules, and names that may be modules."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*above, *([node.module] if node.module else [])])
            names |= {origin, *(f"{origin}.{alias.name}" for alias in node.names)}
    return frozenset(names)


def reached(module: str) -> set[str]:
    """The modules of ours that a module imports, directly or through others."""
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        for name in imports(waiting.pop()) & MODULES.keys():
            if name not in seen:
                seen.add(name)
                waiting.append(name)
    return seen


def bad(modules: list[str], forbidden: tuple[str, ...], allowed: tuple[str, ...] = ()) -> list[str]:
    """Imports that break a rule, told as `module imports name`."""
    return [
        f"{module} imports {name}"
        for module in modules
        for name in sorted(imports(module))
        if inside(name, forbidden) and not inside(name, allowed)
    ]


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def test_every_room_stands_in_the_order() -> None:
    assert {room(module) for module in MODULES} - {""} == set(ROOMS)
    assert len(ROOMS) == len(set(ROOMS))


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    own = room(module)
    below = {*ROOMS[: ROOMS.index(own)], own} if own else set()
    assert [name for name in sorted(imports(module) & MODULES.keys()) if room(name) not in below | {""}] == []


def test_the_architecture_shows_the_rooms_in_this_order() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    shown = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", text, re.MULTILINE)
    assert shown == list(reversed(ROOMS[ROOMS.index("calls") :]))


def test_imports_are_really_read() -> None:
    assert "connector.calls.effects" in imports("connector.announcements.accept")
    assert "connector.store.calls" in imports("connector.engine.handler")
    assert {"connector.calls.model", "connector.calls.events"} <= reached("connector.calls.decide")


def test_the_heart_reaches_no_client_no_store_and_no_shell() -> None:
    for module in in_rooms("connector.calls"):
        assert not bad([module], LIBRARIES_OF_CLIENTS)
        assert all(inside(name, ("connector.calls",)) for name in reached(module) - {"connector"}), module


@pytest.mark.parametrize("module", ["connector.notifications.template", "connector.notifications.message"])
def test_composing_a_message_reaches_no_client_no_store_and_no_shell(module: str) -> None:
    assert not bad([module], LIBRARIES_OF_CLIENTS)
    assert not [name for name in reached(module) if inside(name, CLIENTS + STORE + SHELL)]


def test_checks_of_prerequisites_import_no_client_and_no_store() -> None:
    shell = ("connector.prerequisites.load", "connector.prerequisites.report", "connector.prerequisites.history")
    checks = [module for module in in_rooms("connector.prerequisites") if not inside(module, shell)]
    allowed = ("connector.acs.numbers",)
    assert not bad(checks, CLIENTS + STORE + SHELL + LIBRARIES_OF_CLIENTS, allowed)
    reads_dataverse = "connector.prerequisites.load.webhooks"
    assert not bad([name for name in in_rooms(*shell) if name != reads_dataverse], CLIENTS + SHELL, allowed)


def test_checks_take_only_dataclasses_from_the_client_of_numbers() -> None:
    taken = {
        name.removeprefix("connector.acs.numbers.")
        for module in in_rooms("connector.prerequisites")
        for name in imports(module)
        if name.startswith("connector.acs.numbers.")
    }
    assert taken <= {"PurchasedNumber", "Route", "Routing"}


def test_other_pure_parts_import_no_client_and_no_store() -> None:
    pure = ["connector.mappings", "connector.clock", "connector.errors", "connector.settings", "connector.logs"]
    pure += ["connector.directory.addresses", "connector.e164", "connector.prerequisites.changes"]
    assert not bad(pure, CLIENTS + STORE + SHELL + LIBRARIES_OF_CLIENTS)
    for module in in_rooms("connector.announcements"):
        assert not bad([module], LIBRARIES_OF_CLIENTS)
        assert not [name for name in reached(module) if inside(name, CLIENTS + STORE + SHELL)]


def test_only_the_sandbox_and_the_demo_import_the_sandbox() -> None:
    users = ("connector.sandbox", "connector.demo", "connector.cli.demo", "connector.cli.sandbox")
    assert not bad([name for name in MODULES if not inside(name, users)], ("connector.sandbox",))


def test_the_sandbox_imports_nothing_that_it_stands_in_for() -> None:
    assert {room(name) for module in in_rooms("connector.sandbox") for name in reached(module)} <= {
        "sandbox",
        "clock",
        "",
    }


def dataverse_names() -> set[str]:
    """The names of the mappings that are unmistakably Dataverse's."""
    tables = mapping_files.load().tables.values()
    named = {name for table in tables for name in (table.table, table.set, table.id, *table.columns.values())}
    return {name for name in named if "msdyn_" in name}


def test_names_of_dataverse_stand_in_the_mappings_alone() -> None:
    names = dataverse_names()
    assert len(names) > 20
    found = []
    for module, path in MODULES.items():
        if not inside(module, ("connector.sandbox",)):
            text = path.read_text(encoding="utf-8")
            found += [f"{module}: {name}" for name in DATAVERSE_NAME.findall(text)]
            found += [f"{module}: {name}" for name in names if name in text]
    assert found == []


def test_names_of_our_own_custom_api_stand_in_the_mappings_alone() -> None:
    messages = {mapping.message for mapping in mapping_files.load().events} - {"Create", "Update"}
    assert messages
    elsewhere = ("connector.sandbox", "connector.demo")
    assert not [
        f"{module}: {message}"
        for module, path in MODULES.items()
        if not inside(module, elsewhere)
        for message in messages
        if message in path.read_text(encoding="utf-8")
    ]
