"""The official Dataverse client, unchanged, against the stand-in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError, MetadataError

from connector.sandbox import Sandbox
from tests.contract.dataverse_side import reset_options, sign_in

PROFILES = "msdyn_capacityprofile"


class Credential:
    """What the official client takes for a credential."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, 4_000_000_000)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(agents=60) as sandbox:
        yield sandbox


@pytest.fixture
def client(running: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[DataverseClient]:
    # requests prefers this variable to a session's own setting.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", running.info.ca_file)
    reset_options(running)
    with DataverseClient(running.info.dataverse_url, Credential(sign_in(running))) as client:
        yield client


def names(running: Sandbox, table: str = "systemuser", **wanted: Any) -> set[str]:
    """The full names that the seeded rows themselves give."""
    rows = running.organisation.tables[table]
    return {row["fullname"] for row in rows if all(row.get(name) == value for name, value in wanted.items())}


def test_list_pages_through_a_filter(client: DataverseClient, running: Sandbox) -> None:
    wanted = "address1_country eq 'United States' and isdisabled eq false"

    pages = list(client.records.list_pages("systemuser", filter=wanted, select=["fullname"], page_size=7))

    assert len(pages) > 1
    assert {len(list(page)) for page in pages[:-1]} == {7}
    found = [row["fullname"] for page in pages for row in page]
    assert len(found) == sum(
        row.get("address1_country") == "United States" and not row["isdisabled"]
        for row in running.organisation.tables["systemuser"]
    )
    assert set(found) == names(running, address1_country="United States", isdisabled=False)


def test_list_orders_and_expands(client: DataverseClient) -> None:
    rows = list(
        client.records.list(
            "msdyn_agentstatus",
            select=["msdyn_agentstatusid"],
            expand=["msdyn_agentid"],
            orderby=["createdon desc"],
            top=3,
        )
    )

    assert len(rows) == 3
    assert all(row["msdyn_agentid"]["fullname"] for row in rows)


def test_a_row_lives_and_dies(client: DataverseClient) -> None:
    key = client.records.create(PROFILES, {"msdyn_name": "Night", "msdyn_defaultmaxunits": 2})
    assert client.records.retrieve(PROFILES, key, select=["msdyn_name"])["msdyn_name"] == "Night"  # type: ignore[index]

    client.records.update(PROFILES, key, {"msdyn_name": "Late night"})
    row = client.records.retrieve(PROFILES, key)
    assert row is not None
    assert (row["msdyn_name"], row["msdyn_defaultmaxunits"], row["statecode"]) == ("Late night", 2, 0)

    client.records.delete(PROFILES, key)
    assert client.records.retrieve(PROFILES, key) is None


def test_labels_of_choices_become_numbers(client: DataverseClient) -> None:
    key = client.records.create(PROFILES, {"msdyn_name": "Daily one", "msdyn_resetduration": "Daily"})

    row = client.records.retrieve(PROFILES, key, select=["msdyn_resetduration"])

    assert row is not None
    assert row["msdyn_resetduration"] == 192350001


def upserted(client: DataverseClient, *items: tuple[str, str]) -> dict[str, str]:
    client.records.upsert(
        PROFILES,
        [{"alternate_key": {"msdyn_uniquename": key}, "record": {"msdyn_name": name}} for key, name in items],
    )
    rows = client.records.list(PROFILES, filter="startswith(msdyn_uniquename,'up_')")
    return {row["msdyn_uniquename"]: row["msdyn_name"] for row in rows}


def test_upsert_makes_a_row_once(client: DataverseClient) -> None:
    assert upserted(client, ("up_one", "first"))["up_one"] == "first"
    assert upserted(client, ("up_one", "second"))["up_one"] == "second"

    both = upserted(client, ("up_one", "third"), ("up_two", "new"))

    assert both == {"up_one": "third", "up_two": "new"}


def test_several_rows_at_once(client: DataverseClient) -> None:
    keys = client.records.create(PROFILES, [{"msdyn_name": f"Many {number}"} for number in range(3)])
    assert len(set(keys)) == 3

    client.records.update(PROFILES, keys, {"msdyn_defaultmaxunits": 9})
    client.records.update(PROFILES, keys[:2], [{"msdyn_name": "Many A"}, {"msdyn_name": "Many B"}])

    rows = client.records.list(PROFILES, filter="msdyn_defaultmaxunits eq 9")
    assert sorted(row["msdyn_name"] for row in rows) == ["Many 2", "Many A", "Many B"]


def test_create_multiple_is_all_or_nothing(client: DataverseClient) -> None:
    rows = [{"msdyn_name": "Half", "msdyn_uniquename": "half"}, {"msdyn_name": "Half", "msdyn_uniquename": "half"}]

    with pytest.raises(HttpError) as refused:
        client.records.create(PROFILES, rows)

    assert refused.value.status_code == 412
    assert not list(client.records.list(PROFILES, filter="msdyn_name eq 'Half'"))


def test_a_batch_answers_each_part_in_order(client: DataverseClient) -> None:
    batch = client.batch.new()
    batch.records.create(PROFILES, {"msdyn_name": "Batched"})
    batch.records.list(PROFILES, filter="msdyn_name eq 'Batched'")
    batch.records.retrieve(PROFILES, "00000000-0000-0000-0000-00000000dead")
    batch.records.create(PROFILES, {"msdyn_name": "After the failure"})

    responses = batch.execute(continue_on_error=True).responses

    assert [response.status_code for response in responses] == [204, 200, 404, 204]
    assert re.fullmatch(r"[0-9a-f-]{36}", responses[0].entity_id or "")
    assert [row["msdyn_name"] for row in (responses[1].data or {})["value"]] == ["Batched"]
    assert responses[2].error_code == "0x80040217"


def test_a_batch_stops_at_the_first_failure(client: DataverseClient) -> None:
    batch = client.batch.new()
    batch.records.retrieve(PROFILES, "00000000-0000-0000-0000-00000000dead")
    batch.records.create(PROFILES, {"msdyn_name": "Never made"})

    assert [response.status_code for response in batch.execute().responses] == [404]
    assert not list(client.records.list(PROFILES, filter="msdyn_name eq 'Never made'"))


def test_a_change_set_refers_to_its_own_rows_and_is_atomic(client: DataverseClient) -> None:
    batch = client.batch.new()
    with batch.changeset() as changes:
        made = changes.records.create(PROFILES, {"msdyn_name": "Set"})
        changes.records.update(PROFILES, made, {"msdyn_name": "Set, renamed"})
    assert not batch.execute().has_errors
    assert list(client.records.list(PROFILES, filter="msdyn_name eq 'Set, renamed'"))

    broken = client.batch.new()
    with broken.changeset() as changes:
        changes.records.create(PROFILES, {"msdyn_name": "Undone"})
        changes.records.create(PROFILES, {"msdyn_name": "x" * 300})
    result = broken.execute()

    assert [response.status_code for response in result.responses] == [400]
    assert not list(client.records.list(PROFILES, filter="msdyn_name eq 'Undone'"))


def test_metadata(client: DataverseClient) -> None:
    info = client.tables.get("systemuser")

    assert info is not None
    assert (info["entity_set_name"], info["primary_id_attribute"]) == ("systemusers", "systemuserid")
    assert client.tables.get("no_such_table") is None
    with pytest.raises(MetadataError):
        list(client.records.list("no_such_table"))


def test_errors_carry_code_and_message(client: DataverseClient, running: Sandbox) -> None:
    with pytest.raises(HttpError) as unknown:
        list(client.records.list("systemuser", select=["no_such_column"]))
    assert unknown.value.status_code == 400
    assert unknown.value.details["service_error_code"] == "0x80060888"
    assert "no_such_column" in unknown.value.message

    running.dataverse.options.request_limit = 0
    with pytest.raises(HttpError) as throttled:
        list(client.records.list("systemuser"))
    assert throttled.value.status_code == 429
    assert throttled.value.is_transient
    assert throttled.value.details["retry_after"] > 0
