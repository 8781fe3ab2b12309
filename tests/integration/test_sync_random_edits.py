"""Whatever the official SDK writes between two syncs, the directory is the same as Dataverse afterwards."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PowerPlatform.Dataverse.client import DataverseClient

from connector.assembly import Connector
from connector.sandbox import Sandbox
from tests.contract.dataverse_side import sign_in
from tests.contract.test_dataverse_sdk import Credential
from tests.integration.syncing import assert_same, connected

TEXTS = {
    "systemuser": ("fullname", "address1_country", "msdyn_emergencyemailrecipients", "title"),
    "msdyn_capacityprofile": ("msdyn_name",),
    "msdyn_ocphonenumber": ("msdyn_phonenumber",),
    "template": ("title", "subject", "body"),
    "mailbox": ("name",),
}
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
EDIT = st.one_of(
    st.tuples(
        st.just("create"), st.sampled_from(["msdyn_capacityprofile", "msdyn_ocphonenumber", "template"]), ANY_TEXT
    ),
    st.tuples(st.just("create many"), st.just("msdyn_capacityprofile"), ANY_TEXT),
    st.tuples(st.just("update"), st.sampled_from(sorted(TEXTS)), ANY_TEXT),
    st.tuples(st.just("clear"), st.sampled_from(sorted(TEXTS)), ANY_TEXT),
    st.tuples(
        st.just("delete"), st.sampled_from(["msdyn_capacityprofile", "msdyn_ocphonenumber", "template"]), ANY_TEXT
    ),
    st.tuples(st.just("delete"), st.sampled_from(["mailbox", "msdyn_agentstatus"]), ANY_TEXT),
    st.tuples(st.just("sync"), st.just(""), ANY_TEXT),
)
COUNTER = itertools.count()


class Editor:
    """Edits rows through the SDK alone."""

    def __init__(self, sandbox: Sandbox, client: DataverseClient) -> None:
        self._rows = sandbox.dataverse.rows
        self._client = client

    def edit(self, what: str, table: str, text: str, pick: int) -> None:
        records = self._client.records
        if what == "create":
            records.create(table, dict.fromkeys(TEXTS[table], text or "x"))
        elif what == "create many":
            records.create(table, [{"msdyn_name": f"{text}{number}"} for number in range(3)])
        elif (row_id := self._pick(table, pick)) is not None:
            if what == "update":
                columns = TEXTS[table]
                records.update(table, row_id, {columns[pick % len(columns)]: text or "x"})
            elif what == "clear":
                records.update(table, row_id, {TEXTS[table][-1]: None})
            elif what == "delete":
                records.delete(table, row_id)

    def _pick(self, table: str, pick: int) -> str | None:
        keys = sorted(self._rows.sets[table].by_id)
        return keys[pick % len(keys)] if len(keys) > 3 else None


@pytest.fixture(scope="module")
def parts(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Connector, Editor]]:
    kept = os.environ.get("REQUESTS_CA_BUNDLE")
    # requests prefers this variable to a session's own setting.
    os.environ["REQUESTS_CA_BUNDLE"] = sandbox.info.ca_file
    folder: Path = tmp_path_factory.mktemp("edits")
    with (
        DataverseClient(sandbox.info.dataverse_url, Credential(sign_in(sandbox))) as client,
        connected(sandbox, folder) as connector,
    ):
        sandbox.dataverse.options.page_size = 7
        sandbox.dataverse.options.request_limit = None
        sandbox.dataverse.options.execution_limit = None
        yield connector, Editor(sandbox, client)
    if kept is None:
        del os.environ["REQUESTS_CA_BUNDLE"]
    else:
        os.environ["REQUESTS_CA_BUNDLE"] = kept


@settings(max_examples=25)
@given(edits=st.lists(st.tuples(EDIT, st.integers(0, 10_000)), min_size=1, max_size=25))
def test_the_directory_is_what_dataverse_holds(
    sandbox: Sandbox, parts: tuple[Connector, Editor], edits: list[tuple[Any, int]]
) -> None:
    connector, editor = parts
    first = not next(COUNTER)
    for (what, table, text), pick in edits:
        if what == "sync":
            connector.sync()
            assert_same(sandbox, connector)
        else:
            editor.edit(what, table, text, pick)
    results = connector.sync()
    assert first or not any(result.full for result in results), "only the changes are read"
    assert_same(sandbox, connector)
