"""Reads the TOML files of `mappings/`: Dataverse's names, the shapes of its events, and the countries.

An organisation that named things differently keeps a changed copy of the folder and points `EMERGENCY_MAPPINGS` at it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from connector.errors import SettingsError

_INSTALLED = Path(__file__).parent / "_mappings"
_CHECKOUT = Path(__file__).parent.parent / "mappings"


@dataclass(frozen=True)
class TableMapping:
    """One table of Dataverse as the directory keeps it. `columns` maps our name to Dataverse's."""

    name: str
    table: str
    set: str
    id: str
    columns: Mapping[str, str]
    attributes: tuple[str, ...] = ()

    @property
    def select(self) -> str:
        """The value of `$select`: the id and each column once."""
        return ",".join(dict.fromkeys((self.id, *self.columns.values(), *self.attributes)))


@dataclass(frozen=True)
class EventMapping:
    """Which Dataverse message is which event ("dialled" or "ended"), and where its parts stand.

    `table` and `set` are empty for a message of a Custom API, whose parts are request parameters.
    """

    message: str
    event: str
    parts: Mapping[str, str]
    table: str = ""
    set: str = ""
    when: str = ""


@dataclass(frozen=True)
class Country:
    """A supported country: ISO 3166-1 alpha-2 code, names people use, numbers dialled."""

    code: str
    names: tuple[str, ...]
    emergency: tuple[str, ...]
    drill: tuple[str, ...]
    callback_from: tuple[str, ...]


@dataclass(frozen=True)
class Mappings:
    """All mappings of one folder."""

    tables: Mapping[str, TableMapping]
    choices: Mapping[str, Any]
    presence_action: Mapping[str, str]
    email: Mapping[str, Any]
    events: tuple[EventMapping, ...]
    countries: Mapping[str, Country]
    always_emergency: frozenset[str]

    def country(self, text: str | None) -> Country | None:
        """The supported country that a code ("GB") or name ("United Kingdom") means, None for any other."""
        wanted = (text or "").strip().casefold()
        for country in self.countries.values():
            if wanted in (country.code.casefold(), *(name.casefold() for name in country.names)):
                return country
        return None

    def country_dialling(self, dialled: str | None) -> Country | None:
        """The first country in which a dialled string is an emergency number."""
        digits = _digits(dialled or "")
        return next((c for c in self.countries.values() if digits in (*c.emergency, *c.drill)), None)

    def is_emergency(self, dialled: str) -> bool:
        """Whether a dialled string is an emergency number somewhere that agents of ours may be: when in doubt, yes."""
        digits = _digits(dialled)
        return digits in self.always_emergency or any(digits in c.emergency for c in self.countries.values())

    def is_drill(self, dialled: str) -> bool:
        """Whether a dialled string is a test number (933 in the United States)."""
        digits = _digits(dialled)
        return not self.is_emergency(dialled) and any(digits in c.drill for c in self.countries.values())


def _digits(dialled: str) -> str:
    return "".join(character for character in dialled if character.isdigit())


@cache
def load(folder: Path | None = None) -> Mappings:
    """Reads a folder of mappings, the built-in one by default.

    Raises SettingsError naming the file and what is wrong in it.
    """
    where = folder or (_INSTALLED if _INSTALLED.is_dir() else _CHECKOUT)
    dataverse, events, regions = (_read(where / f"{name}.toml") for name in ("dataverse", "events", "regions"))
    try:
        return Mappings(
            tables={name: _table(name, section) for name, section in dataverse["tables"].items()},
            choices=dataverse["choices"],
            presence_action=dataverse["presence_action"],
            email=dataverse["email"],
            events=tuple(EventMapping(**section) for section in events["events"]),
            countries={code: _country(code, section) for code, section in regions["countries"].items()},
            always_emergency=frozenset(regions["always_emergency"]),
        )
    except (KeyError, TypeError) as error:
        raise SettingsError(
            f"the mappings in {where.name}/ lack or misname {error}: compare with the built-in ones"
        ) from error


def _table(name: str, section: Mapping[str, Any]) -> TableMapping:
    attributes = tuple(section.get("attributes", {}).get("names", ()))
    return TableMapping(name, section["table"], section["set"], section["id"], section["columns"], attributes)


def _country(code: str, section: Mapping[str, Any]) -> Country:
    lists = {key: tuple(section[key]) for key in ("names", "emergency", "drill", "callback_from")}
    return Country(code, **lists)


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file.name} of the mappings cannot be read: {error}") from error
