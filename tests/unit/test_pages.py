"""A page of Dataverse is decoded into the columns asked for, whatever stands in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from connector.dataverse import pages
from connector.dataverse.pages import Page
from connector.errors import BadData

COLUMNS = ("systemuserid", "fullname", "isdisabled")
ID = "00000000-0000-0000-0000-000000000001"


def answer(content: bytes) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = 200, content
    response.headers["x-ms-service-request-id"] = "a-request"
    return response


def page(content: Any) -> Page:
    return pages.page(answer(content if isinstance(content, bytes) else json.dumps(content).encode()), COLUMNS)


def test_columns_links_and_deleted_rows_are_told_apart() -> None:
    found = page(
        {
            "@odata.context": "any",
            "value": [
                {"@odata.etag": "1", "systemuserid": ID, "fullname": "Robin", "isdisabled": False, "other": [1]},
                {"@odata.context": "any/$deletedEntity", "id": ID, "reason": "deleted"},
                {"systemuserid": ID},
            ],
            "@odata.nextLink": "next",
            "@odata.deltaLink": "delta",
        }
    )
    assert (found.next_link, found.delta_link) == ("next", "delta")
    read = [[getattr(row, name) for name in ("deleted_id", "reason", *COLUMNS)] for row in found.rows]
    assert read == [
        [None, None, ID, "Robin", False],
        [ID, "deleted", None, None, None],
        [None, None, ID, None, None],
    ]


def test_what_no_database_takes_is_replaced() -> None:
    text = rb'{"value": [{"systemuserid": "%s", "fullname": "a\u0000b\ud800c\ud83d\ude00\\u0000"}]}' % ID.encode()
    (row,) = page(text).rows
    assert getattr(row, "fullname") == "a\ufffdb?c\U0001f600\\u0000"  # noqa: B009 (a column of a made type)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b"{}",
        b'{"value": {}}',
        b'{"value": [1]}',
        b'{"value": [{"fullname": {}}]}',
        b'{"value": [{"fullname": [1]}]}',
        b'{"value": [{"systemuserid": 1}]}',
        b'{"value": [{"fullname": NaN}]}',
        b'{"value": [{"fullname": "\\ud800"}]',
        b'{"value": [], "@odata.nextLink": 1}',
    ],
)
def test_what_is_no_page_is_bad_data(content: bytes) -> None:
    with pytest.raises(BadData) as raised:
        page(content)
    assert raised.value.request_id == "a-request"


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["\x00", "\ud800", "😀\udc00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*COLUMNS, "value", "id"]), inner),
    max_leaves=8,
)


@given(values | st.fixed_dictionaries({"value": st.lists(st.dictionaries(st.sampled_from(COLUMNS), values))}))
def test_any_json_is_a_page_or_bad_data(content: Any) -> None:
    try:
        found = page(content)
    except BadData:
        return
    for row in found.rows:
        texts = [value for name in COLUMNS if isinstance(value := getattr(row, name), str)]
        assert not any("\x00" in text for text in texts)
        assert all(text.encode() is not None for text in texts), "no half of a pair is left"


@given(st.binary())
def test_any_bytes_are_bad_data(content: bytes) -> None:
    with pytest.raises(BadData):
        page(content)


def test_a_row_that_is_json_already_is_read_alike() -> None:
    (row,) = pages.rows([{"systemuserid": ID, "fullname": "Robin", "other": {}}], COLUMNS)
    assert [getattr(row, name) for name in COLUMNS] == [ID, "Robin", None]
    with pytest.raises(BadData):
        pages.rows([{"systemuserid": {}}], COLUMNS)
