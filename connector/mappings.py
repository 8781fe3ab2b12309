"""Reads the TOML files of `mappings/`: Dataverse's names, the shapes of its events, and the countries.

An organisation that named things differently keeps a changed copy of the folder and points `EMERGENCY_MAPPINGS` at it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

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
    def selected(self) -> tuple[str, ...]:
        """What is read of a row, under Dataverse's names: the id and each column once."""
        return tuple(dict.fromkeys((self.id, *self.columns.values(), *self.attributes)))

    @property
    def select(self) -> str:
        """The value of `$select`."""
        return ",".join(self.selected)


_EXACT = ConfigDict(extra="forbid")
"""A misspelt key is an error: an ignored one could turn the end of a call into a dial."""
Part = Literal["agent_id", "dialled", "call_key", "at", "country", "location", "callback_number", "agent_identity"]


@dataclass(frozen=True)
class EventMapping:
    """Which Dataverse message is which event, and where its parts stand.

    `table` and `set` are empty for a message of a Custom API, whose parts are request parameters.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    message: str
    event: Literal["dialled", "ended"]
    parts: Mapping[Part, str]
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
    outside_lines: tuple[str, ...] = ()
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    webhook: Mapping[str, Any] = field(default_factory=dict)

    def label(self, choice: str, value: int | None) -> str:
        """A value of a choice column as people know it; the bare value where it has no name here, "" for none."""
        return "" if value is None else self.labels.get(choice, {}).get(str(value), str(value))

    def country(self, text: str | None) -> Country | None:
        """The supported country that a code ("GB") or name ("United Kingdom") means, None for any other."""
        return self._by_name.get((text or "").strip().casefold())

    @cached_property
    def _by_name(self) -> dict[str, Country]:
        countries = self.countries.values()
        return {name.casefold(): country for country in countries for name in (country.code, *country.names)}

    def first_country(self, *texts: str | None) -> Country | None:
        """The first supported country that any of the texts means: the better source comes first."""
        return next((country for text in texts if (country := self.country(text))), None)


def _built_in() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT


@cache
def load(folder: Path | None = None) -> Mappings:
    """Reads a folder of mappings, the built-in one by default.

    Raises SettingsError naming the file and what is wrong in it.
    """
    where = folder or _built_in()
    dataverse = _read(where / "dataverse.toml", _Dataverse)
    events = _read(where / "events.toml", _Events)
    regions = _read(where / "regions.toml", _Regions)
    return Mappings(
        tables={
            name: TableMapping(name, given.table, given.set, given.id, given.columns, given.attributes.names)
            for name, given in dataverse.tables.items()
        },
        choices=dataverse.choices,
        presence_action=dataverse.presence_action,
        email=dataverse.email,
        labels=dataverse.labels,
        # A copy of before a name came in does without it.
        webhook={**_read(_built_in() / "dataverse.toml", _Dataverse).webhook, **dataverse.webhook},
        events=events.events,
        countries={code: Country(code, **vars(given)) for code, given in regions.countries.items()},
        always_emergency=regions.always_emergency,
        outside_lines=regions.outside_lines,
    )


@dataclass(frozen=True)
class _Attributes:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Table:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    table: str
    set: str
    id: str
    columns: Mapping[str, str]
    attributes: _Attributes = _Attributes()


@dataclass(frozen=True)
class _Dataverse:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    tables: Mapping[str, _Table]
    choices: Mapping[str, Any]
    presence_action: Mapping[str, str]
    email: Mapping[str, Any]
    labels: Mapping[str, Mapping[str, str]]
    webhook: Mapping[str, Any]


@dataclass(frozen=True)
class _Events:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    events: tuple[EventMapping, ...]


@dataclass(frozen=True)
class _Region:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    names: tuple[str, ...]
    emergency: tuple[str, ...]
    drill: tuple[str, ...]
    callback_from: tuple[str, ...]


@dataclass(frozen=True)
class _Regions:
    __pydantic_config__: ClassVar[ConfigDict] = _EXACT
    countries: Mapping[str, _Region]
    always_emergency: frozenset[str]
    outside_lines: tuple[str, ...] = ()


_Shape = TypeVar("_Shape")


def _read(file: Path, shape: type[_Shape]) -> _Shape:
    """A file of mappings in its shape. Raises SettingsError naming the file and what is wrong in it."""
    try:
        return TypeAdapter(shape).validate_python(tomllib.loads(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise SettingsError(f"{file.name} of the mappings is wrong: {wrong}. Compare with the built-in one") from None
    except (OSError, ValueError) as error:
        raise SettingsError(f"{file.name} of the mappings cannot be read: {error}") from None
