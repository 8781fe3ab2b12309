"""A room knows only the rooms below it, and Dataverse's names stand in `mappings/` alone."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from connector import mappings as mapping_files

ROOT = Path(__file__).parents[2]
CLIENTS = ("connector.dataverse", "connector.acs", "connector.http")
STORE = ("connector.store",)
SHELL = ("connector.service", "connector.cli", "connector.assembly", "connector.desk", "connector.worker")
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


def test_imports_are_really_read() -> None:
    assert "connector.calls.effects" in imports("connector.announcements")
    assert "connector.store.calls" in imports("connector.desk")
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
    shell = ("connector.prerequisites.load", "connector.prerequisites.report")
    checks = [module for module in in_rooms("connector.prerequisites") if not inside(module, shell)]
    allowed = ("connector.acs.numbers",)
    assert not bad(checks, CLIENTS + STORE + SHELL + LIBRARIES_OF_CLIENTS, allowed)
    assert not bad(in_rooms(*shell), CLIENTS + SHELL, allowed)


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
    pure += ["connector.directory.addresses", "connector.e164", "connector.drift", "connector.dataverse.remote_context"]
    assert not bad(pure, CLIENTS + STORE + SHELL + LIBRARIES_OF_CLIENTS)
    allowed = ("connector.dataverse.remote_context",)
    assert not bad(["connector.announcements"], CLIENTS + STORE + SHELL + LIBRARIES_OF_CLIENTS, allowed)


def test_clients_know_nothing_of_what_they_are_used_for() -> None:
    rooms = ("connector.calls", "connector.notifications", "connector.prerequisites", "connector.directory")
    assert not bad(in_rooms("connector.dataverse", "connector.acs"), rooms + STORE + SHELL)


def test_nothing_below_imports_the_service_or_the_command_line() -> None:
    above = ("connector.service", "connector.cli", "connector.demo", "connector.sandbox", "connector.assembly")
    assert not bad([name for name in MODULES if not inside(name, above)], above)


def test_the_store_knows_none_that_use_it() -> None:
    rooms = ("connector.prerequisites", "connector.notifications", "connector.directory", "connector.acs")
    assert not bad(in_rooms("connector.store"), rooms + SHELL)


def test_only_the_sandbox_and_the_demo_import_the_sandbox() -> None:
    users = ("connector.sandbox", "connector.demo", "connector.cli.demo", "connector.cli.sandbox")
    assert not bad([name for name in MODULES if not inside(name, users)], ("connector.sandbox",))


def test_the_sandbox_imports_nothing_that_it_stands_in_for() -> None:
    rooms = ("connector.dataverse", "connector.acs", "connector.calls", "connector.desk", "connector.store")
    assert not bad(in_rooms("connector.sandbox"), rooms)


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
