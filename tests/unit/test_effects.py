"""Effects as data: they survive the store unchanged, and each has one id for ever."""

from __future__ import annotations

import json
import uuid
from dataclasses import fields, replace
from datetime import UTC, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from connector.calls import effects
from connector.calls.effects import (
    CloseWindow,
    Effect,
    GuardCall,
    Notify,
    OfferNumbers,
    ReadAnnouncement,
    Redirect,
    RestorePresence,
    SendFromMailbox,
    SetDoNotDisturb,
    derive_id,
    effect_id,
    from_json,
    to_json,
)
from tests.conftest import START

KINDS: tuple[Any, ...] = get_args(Effect)
IDS = st.uuids().map(str)
TIMES = st.datetimes(timezones=st.just(UTC))
VALUES = {
    "call_id": IDS,
    "due": TIMES,
    "give_up_at": TIMES,
    "until": TIMES,
    "first_refused": st.booleans(),
    "first": st.booleans(),
    "unsent": st.booleans(),
    "reason": st.sampled_from(["dialled", "number"]),
    "event": st.sampled_from(["dialled", "ended"]),
    "part": st.integers(0, 1000),
    "attempt": st.integers(1, 1000),
    "recipients": st.lists(st.text()).map(tuple),
}


def built(kind: Any) -> st.SearchStrategy[Any]:
    """Effects of a kind with every field filled."""
    return st.builds(
        kind, **{field.name: VALUES.get(field.name, st.text()) for field in fields(kind) if field.name != "kind"}
    )


ANY = st.one_of(*(built(kind) for kind in KINDS))
NOTIFY = Notify("c", "dialled", 0, ("a@example.com",), START)


@pytest.mark.parametrize("kind", KINDS)
def test_every_effect_survives_the_store(kind: Any) -> None:
    @given(built(kind))
    def survives(effect: Effect) -> None:
        again = from_json(json.loads(json.dumps(to_json(effect))))
        assert again == effect
        assert type(again) is kind
        assert effect_id(again) == effect_id(effect)

    survives()


@given(ANY)
def test_an_id_is_a_uuid_and_stable(effect: Effect) -> None:
    assert str(uuid.UUID(effect_id(effect))) == effect_id(effect)
    assert effect_id(effect) == effect_id(replace(effect))


@given(ANY, ANY)
def test_ids_differ_where_call_kind_or_key_differ(one: Effect, other: Effect) -> None:
    def key(effect: Any) -> tuple[object, ...]:
        return (effect.call_id, effect.kind, *(getattr(effect, name) for name in effect.key_fields))

    assert (effect_id(one) == effect_id(other)) == (key(one) == key(other))


def test_each_kind_has_an_id_of_its_own() -> None:
    some: list[Effect] = [
        SetDoNotDisturb("c"),
        RestorePresence("c"),
        CloseWindow("c", START),
        GuardCall("c", START),
        NOTIFY,
        SendFromMailbox("c", "dialled", 0, ("a@example.com",), START),
        OfferNumbers("c", "x"),
    ]
    assert len({effect_id(effect) for effect in some}) == len(some)


def test_ids_never_change_from_one_release_to_the_next() -> None:
    assert derive_id("call", "a", "b") == str(uuid.uuid5(uuid.UUID("5d0f6c3e-911a-4112-9990-0e1c0a11ab1e"), "call/a/b"))
    assert effect_id(NOTIFY) == derive_id("c", "notify", "dialled", "0", "1")
    assert effect_id(SetDoNotDisturb("c")) == derive_id("c", "set_do_not_disturb")
    assert effect_id(CloseWindow("c", START)) == derive_id("c", "close_window", "2026-03-02 10:00:00+00:00")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"recipients": ("b@example.com",)}, True),
        ({"give_up_at": START + timedelta(1)}, True),
        ({"reason": "number"}, False),
        ({"part": 1}, False),
        ({"attempt": 2}, False),
        ({"call_id": "d"}, False),
    ],
)
def test_a_message_keeps_its_operation_id_over_retries(change: dict[str, Any], same: bool) -> None:
    assert (effect_id(replace(NOTIFY, **change)) == effect_id(NOTIFY)) is same


def test_a_later_due_time_is_another_closing_but_the_same_guard() -> None:
    later = START + timedelta(minutes=1)
    assert effect_id(CloseWindow("c", START)) != effect_id(CloseWindow("c", later))
    assert effect_id(GuardCall("c", START)) == effect_id(GuardCall("c", later))


def test_a_callback_is_put_through_once_for_each_event() -> None:
    first = Redirect("c", "event-1", "context", "8:acs:x", START)
    assert effect_id(first) == effect_id(replace(first, context="other", target="y"))
    assert effect_id(first) != effect_id(replace(first, event_id="event-2"))


def test_kinds_are_told_apart_in_the_store() -> None:
    kinds = [kind.__dataclass_fields__["kind"].default for kind in KINDS]
    assert len(set(kinds)) == len(KINDS)
    read = ReadAnnouncement("c", "ended", "t", "r", START)
    assert to_json(read)["kind"] == "read_announcement"


def test_every_effect_of_the_module_is_one_of_the_union() -> None:
    defined = {kind for kind in vars(effects).values() if isinstance(kind, type) and hasattr(kind, "kind")}
    assert defined == set(KINDS)


def test_every_key_field_is_a_field() -> None:
    for kind in KINDS:
        assert set(kind.key_fields) <= {field.name for field in fields(kind)}


@pytest.mark.parametrize(
    "data", [{}, {"kind": "nothing"}, {"kind": "notify"}, None, {"kind": "close_window", "due": "x"}]
)
def test_what_is_no_effect_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        from_json(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_the_worker_must_know(kind: Any) -> None:
    assert kind.pool in effects.POOLS
    assert kind.pool.threads > 0
    assert effects.KINDS[kind.kind] is kind
    assert len({pool.name for pool in effects.POOLS}) == len(effects.POOLS)


@given(ANY)
def test_an_effect_starts_when_it_is_due_and_ends_when_it_is_given_up(effect: Any) -> None:
    assert effect.starts_at(START) == getattr(effect, "due", START)
    assert effect.ends_at(START) == getattr(effect, "give_up_at", START + effects.GIVE_UP)
