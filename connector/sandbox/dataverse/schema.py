"""Table definitions: entity sets, columns, choices, lookups with their case-sensitive navigation names, keys.

Every other module asks `TABLES` and knows no column by name. The definitions themselves are in `tables.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

STRING_KINDS = frozenset({"String", "Memo", "EntityName"})
CHOICE_KINDS = frozenset({"Picklist", "State", "Status"})
INTEGER_KINDS = CHOICE_KINDS | {"Integer", "BigInt"}


@dataclass(frozen=True)
class Column:
    """One column; `kind` is the `AttributeType` of the metadata, `nav` the navigation name of a lookup."""

    name: str
    kind: str = "String"
    options: Mapping[int, str] = field(default_factory=dict)
    target: str = ""
    nav: str = ""
    length: int | None = None
    write_only: bool = False
    read_only: bool = False
    fixed: bool = False
    """Cannot be changed once the row is saved."""

    @property
    def wire(self) -> str:
        """The property name in JSON: lookups travel as `_name_value`. [documented: lookup properties]"""
        return f"_{self.name}_value" if self.kind == "Lookup" else self.name


@dataclass(frozen=True)
class Table:
    """One table and how the Web API names it. `privilege` is the name that its privileges are built from."""

    name: str
    entity_set: str
    primary_id: str
    primary_name: str
    columns: tuple[Column, ...]
    privilege: str
    tracked: bool = False
    keys: tuple[tuple[str, ...], ...] = ()
    owned: bool = True
    collections: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Collection-valued navigation: name -> (other table, its lookup column)."""

    @cached_property
    def by_name(self) -> dict[str, Column]:
        """Columns by logical name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def by_wire(self) -> dict[str, Column]:
        """Readable columns by the name they have in JSON."""
        return {column.wire: column for column in self.columns if not column.write_only}

    @cached_property
    def by_nav(self) -> dict[str, Column]:
        """Lookups by navigation name, in the exact case."""
        return {column.nav: column for column in self.columns if column.nav}


def text(name: str, length: int = 100, kind: str = "String") -> Column:
    """A text column."""
    return Column(name, kind, length=length)


def memo(name: str) -> Column:
    """A long text column."""
    return Column(name, "Memo", length=1_073_741_823)


def whole(name: str) -> Column:
    """A whole-number column."""
    return Column(name, "Integer")


def flag(name: str) -> Column:
    """A yes/no column."""
    return Column(name, "Boolean")


def moment(name: str) -> Column:
    """A date and time column."""
    return Column(name, "DateTime")


def guid(name: str) -> Column:
    """A GUID column that is not the primary key."""
    return Column(name, "Uniqueidentifier")


def choice(name: str, kind: str = "Picklist", /, **labels: int) -> Column:
    """A choice column; labels are written as keyword arguments, an underscore standing for a blank."""
    return Column(name, kind, options={value: label.replace("_", " ") for label, value in labels.items()})


def lookup(name: str, target: str, nav: str = "") -> Column:
    """A lookup; `nav` only where its case differs from the column's name."""
    return Column(name, "Lookup", target=target, nav=nav or name)


def fixed(column: Column) -> Column:
    """The column, not to be changed once its row is saved."""
    return replace(column, fixed=True)


def state(**labels: int) -> tuple[Column, Column]:
    """The pair `statecode` and `statuscode`; Active and Inactive unless named otherwise."""
    names = labels or {"Active": 0, "Inactive": 1}
    return choice("statecode", "State", **names), choice("statuscode", "Status", **{k: v + 1 for k, v in names.items()})


def _system_columns(primary_id: str, *, owned: bool) -> tuple[Column, ...]:
    owner = (lookup("ownerid", "systemuser"), lookup("owningbusinessunit", "businessunit")) if owned else ()
    return (
        Column(primary_id, "Uniqueidentifier"),
        moment("createdon"),
        moment("modifiedon"),
        lookup("createdby", "systemuser"),
        lookup("modifiedby", "systemuser"),
        lookup("createdonbehalfby", "systemuser"),
        lookup("modifiedonbehalfby", "systemuser"),
        Column("versionnumber", "BigInt", read_only=True),
        *owner,
    )


def define(
    name: str,
    entity_set: str,
    *columns: Column,
    primary_id: str = "",
    primary_name: str = "msdyn_name",
    privilege: str = "",
    tracked: bool = False,
    owned: bool = True,
    keys: tuple[tuple[str, ...], ...] = (),
    collections: Mapping[str, tuple[str, str]] | None = None,
) -> Table:
    """A table with the columns that all have; id, name column and privilege go by its name unless said otherwise."""
    key = primary_id or f"{name}id"
    named = () if any(column.name == primary_name for column in columns) else (text(primary_name, 256),)
    all_columns = (*_system_columns(key, owned=owned), *named, *columns)
    return Table(
        name, entity_set, key, primary_name, all_columns, privilege or name, tracked, keys, owned, collections or {}
    )
