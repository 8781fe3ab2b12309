"""The TOML files of `mappings/`, and what becomes of broken ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.announcements.dialled import country_dialling, is_drill, is_emergency
from connector.announcements.reading import from_parts
from connector.errors import SettingsError
from connector.mappings import TableMapping, load
from connector.store import directory_schema

FOLDER = Path(__file__).parents[2] / "mappings"
FILES = ["dataverse.toml", "events.toml", "regions.toml"]
MAPPINGS = load()
OUR_OWN = {"id", "generation", "attributes"}
Broken = Callable[[str, str, str], Path]


@pytest.fixture
def changed(tmp_path: Path) -> Broken:
    """Makes a copy of the folder in which a text of one file is replaced."""

    def change(name: str, old: str, new: str) -> Path:
        folder = tmp_path / "mine"
        shutil.copytree(FOLDER, folder)
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        return folder

    return change


# Tables and columns


@pytest.mark.parametrize("mapping", MAPPINGS.tables.values(), ids=MAPPINGS.tables)
def test_every_table_has_its_place_in_the_directory(mapping: TableMapping) -> None:
    table = directory_schema.metadata.tables[mapping.name]
    assert set(mapping.columns) == set(table.c.keys()) - OUR_OWN
    assert bool(mapping.attributes) == ("attributes" in table.c)


def test_every_mirrored_table_is_mapped() -> None:
    mirrored = {name for name, table in directory_schema.metadata.tables.items() if "generation" in table.c}
    assert mirrored - {"sync_progress"} == set(MAPPINGS.tables)


def test_no_table_is_read_twice() -> None:
    for names in ([m.table for m in MAPPINGS.tables.values()], [m.set for m in MAPPINGS.tables.values()]):
        assert len(set(names)) == len(names)


def test_a_selection_names_the_id_first_and_each_column_once() -> None:
    mapping = TableMapping("t", "thing", "things", "thingid", {"a": "x", "b": "y", "c": "x"}, ("y", "z"))
    assert mapping.select == "thingid,x,y,z"


def test_every_selection_names_each_column_once() -> None:
    for mapping in MAPPINGS.tables.values():
        columns = mapping.select.split(",")
        assert columns[0] == mapping.id
        assert len(set(columns)) == len(columns)
        assert {*mapping.columns.values(), *mapping.attributes} <= set(columns)


# Events


def test_every_part_of_an_event_is_one_that_announcements_have() -> None:
    for mapping in MAPPINGS.events:
        for part in mapping.parts:
            assert hasattr(from_parts(mapping.event, "op", {}), part)
        assert "agent_id" in mapping.parts


def test_every_event_is_a_dial_or_an_end_and_a_rows_event_can_be_read_again() -> None:
    for mapping in MAPPINGS.events:
        assert mapping.event in ("dialled", "ended")
        assert bool(mapping.table) == bool(mapping.set)
    assert len({(mapping.message, mapping.table) for mapping in MAPPINGS.events}) == len(MAPPINGS.events)


# Countries


@pytest.mark.parametrize(
    ("code", "emergency"),
    [("US", {"911"}), ("PR", {"911"}), ("CA", {"911"}), ("GB", {"999", "112"}), ("DK", {"112"})],
)
def test_emergency_numbers_agree_with_phonenumbers(code: str, emergency: set[str]) -> None:
    assert set(MAPPINGS.countries[code].emergency) == emergency
    for number in emergency:
        assert phonenumbers.is_emergency_number(number, code)
        assert phonenumbers.connects_to_emergency_number(number, code)


def test_these_countries_are_supported() -> None:
    assert set(MAPPINGS.countries) == {"US", "PR", "CA", "GB", "DK"}
    assert set(MAPPINGS.countries) <= set(phonenumbers.SUPPORTED_REGIONS)


def test_a_drills_number_calls_no_emergency_service() -> None:
    assert MAPPINGS.countries["US"].drill == ("933",)
    for code, country in MAPPINGS.countries.items():
        for number in country.drill:
            assert not phonenumbers.connects_to_emergency_number(number, code)
            assert is_drill(number, MAPPINGS)


@pytest.mark.parametrize("number", ["911", "112", "999"])
def test_three_numbers_are_emergencies_everywhere(number: str) -> None:
    assert number in MAPPINGS.always_emergency
    assert is_emergency(number, MAPPINGS)
    assert not is_drill(number, MAPPINGS)


def test_an_emergency_number_is_never_a_drill(changed: Broken) -> None:
    mine = load(changed("regions.toml", 'drill = ["933"]', 'drill = ["911", "933"]'))
    assert is_emergency("911", mine)
    assert not is_drill("911", mine)
    assert is_drill("933", mine)


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert not (is_drill(text, MAPPINGS) and is_emergency(text, MAPPINGS))
    MAPPINGS.country(text)
    country_dialling(text, MAPPINGS)


def test_callback_numbers_are_looked_for_in_supported_countries_the_own_first() -> None:
    for code, country in MAPPINGS.countries.items():
        assert country.callback_from[0] == code
        assert set(country.callback_from) <= set(MAPPINGS.countries)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("GB", "GB"),
        ("gb", "GB"),
        (" Gb ", "GB"),
        ("United Kingdom", "GB"),
        ("UK", "GB"),
        ("united states of america", "US"),
        ("Puerto Rico", "PR"),
        ("DANMARK", "DK"),
        ("Canada", "CA"),
    ],
)
def test_a_country_is_known_by_code_and_name(text: str, code: str) -> None:
    country = MAPPINGS.country(text)
    assert country is not None
    assert country.code == code


@pytest.mark.parametrize("text", [None, "", "  ", "FR", "France", "United", "U", "+1"])
def test_any_other_country_is_none(text: str | None) -> None:
    assert MAPPINGS.country(text) is None


@pytest.mark.parametrize(
    ("dialled", "code"),
    [
        ("911", "US"),
        ("9-1-1", "US"),
        ("933", "US"),
        ("999", "GB"),
        ("112", "GB"),
        ("5550100", None),
        ("", None),
        (None, None),
    ],
)
def test_the_country_that_a_number_is_dialled_in(dialled: str | None, code: str | None) -> None:
    country = country_dialling(dialled, MAPPINGS)
    assert (country.code if country else None) == code


# Folders of an organisation's own


def test_a_copy_of_the_folder_reads_the_same(tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    assert load(tmp_path / "mine") == MAPPINGS


def test_a_changed_copy_is_followed(changed: Broken) -> None:
    folder = changed("dataverse.toml", 'recipients = "msdyn_emergencyemailrecipients"', 'recipients = "new_whom"')
    assert load(folder).tables["agents"].columns["recipients"] == "new_whom"


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    (tmp_path / "mine" / name).unlink()
    with pytest.raises(SettingsError, match=name):
        load(tmp_path / "mine")


@pytest.mark.parametrize("content", [b"= broken", b"[a\n", b'a = "\xff"', b"\xef\xbb\xbfa = 1", b"a = 1\na = 2"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_toml_is_named(name: str, content: bytes, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mine")
    (tmp_path / "mine" / name).write_bytes(content)
    with pytest.raises(SettingsError, match=name):
        load(tmp_path / "mine")


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        ("dataverse.toml", "[choices]", "[choice]", "choices"),
        ("dataverse.toml", "[email]", "[mail]", "email"),
        ("dataverse.toml", 'set = "systemusers"', 'sets = "systemusers"', "set"),
        ("events.toml", "message =", "massage =", "massage"),
        ("events.toml", "[events.parts]", "[events.part]", "part"),
        ("regions.toml", "always_emergency", "always", "always_emergency"),
        ("regions.toml", "drill = []", "drills = []", "drill"),
    ],
)
def test_a_missing_or_misspelt_entry_is_told_with_its_file(
    name: str, old: str, new: str, told: str, changed: Broken
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(changed(name, old, new))
    assert told in str(caught.value)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("regions.toml", 'always_emergency = ["911", "112", "999"]', 'always_emergency = "911"'),
        ("regions.toml", 'emergency = ["999", "112"]', 'emergency = "999"'),
        ("regions.toml", "[countries.US]", "countries = 3\n[x]"),
        ("events.toml", 'event = "ended"', 'event = "end"'),
        ("events.toml", 'agent_id = "AgentId"', 'agentid = "AgentId"'),
        ("dataverse.toml", "[tables.agents.columns]", "columns = 3\n[tables.agents.column]"),
    ],
)
def test_an_entry_of_the_wrong_kind_is_refused(name: str, old: str, new: str, changed: Broken) -> None:
    folder = changed(name, old, new)
    with pytest.raises(SettingsError):
        load(folder)
