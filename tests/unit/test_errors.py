"""The tree of errors, and what each carries."""

from __future__ import annotations

import inspect
import re

import pytest

from connector import errors
from connector.errors import (
    AuthenticationError,
    BadData,
    ConnectorError,
    DeltaExpired,
    EditConflict,
    MissingPrivilege,
    NotFound,
    RetryLater,
    ServiceRejected,
    SettingsError,
)

CLASSES = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and kind.__module__ == errors.__name__
}


def drawn() -> dict[str, str]:
    """Each error of the drawing in the module's docstring, with its parent."""
    above: dict[int, str] = {}
    parents = {}
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match.group(1)) // 4
            above[depth] = match.group(2)
            parents[match.group(2)] = above[depth - 1] if depth else "Exception"
    return parents


def test_the_tree_is_as_drawn() -> None:
    assert drawn() == {name: kind.__mro__[1].__name__ for name, kind in CLASSES.items()}


@pytest.mark.parametrize("kind", CLASSES.values(), ids=CLASSES)
def test_each_error_is_explained_once(kind: type) -> None:
    assert kind.__doc__


@pytest.mark.parametrize(
    "kind", [ConnectorError, SettingsError, AuthenticationError, RetryLater, DeltaExpired, BadData]
)
def test_the_request_id_is_in_the_message(kind: type[ConnectorError]) -> None:
    error = kind("Dataverse refused", request_id="req-1")
    assert str(error) == "Dataverse refused [request req-1]"
    assert error.request_id == "req-1"
    assert str(kind("Dataverse refused")) == "Dataverse refused"
    assert kind("Dataverse refused").request_id is None


@pytest.mark.parametrize("kind", [ServiceRejected, NotFound, MissingPrivilege, EditConflict])
def test_a_refusal_carries_status_and_code(kind: type[ServiceRejected]) -> None:
    error = kind("no such row", status=404, code="0x80040217", request_id="req-2")
    assert (error.status, error.code, error.request_id) == (404, "0x80040217", "req-2")
    assert str(error) == "no such row [request req-2]"
    assert kind("no such row", status=404).code == ""


def test_a_retry_carries_the_services_own_wish() -> None:
    assert RetryLater("busy", retry_after=2.5).retry_after == 2.5
    assert RetryLater("busy").retry_after is None


def test_a_refusal_is_not_to_be_tried_again() -> None:
    assert not issubclass(ServiceRejected, RetryLater)
    assert not issubclass(RetryLater, ServiceRejected)
