"""The field Emergency Call Notifications, as people type it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.directory.addresses import Addresses, parse

NAMES = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789", min_size=1, max_size=12)
ADDRESSES = st.builds("{}@{}.example.com".format, NAMES, NAMES)
FIELD_LIKE = st.lists(
    st.one_of(ADDRESSES, st.sampled_from([";", ",", "\r\n", "<", ">", '"', " ", "@", "Jane <", "\ufeff"]), st.text())
).map("".join)


@pytest.mark.parametrize("field", [None, "", "   ", ";", " ; ,\r\n;"])
def test_an_empty_field_holds_nothing(field: str | None) -> None:
    assert parse(field) == Addresses((), ())


@pytest.mark.parametrize("separator", [";", "; ", ",", ", ", "\n", "\r\n", " ;\n, ", ";;"])
def test_addresses_may_be_separated_by_what_people_use(separator: str) -> None:
    assert parse(separator.join(["a@example.com", "b@example.com"])) == Addresses(
        ("a@example.com", "b@example.com"), ()
    )


@pytest.mark.parametrize(
    "entry",
    [
        "Jane Doe <jane@example.com>",
        '"Jane Doe" <jane@example.com>',
        "<jane@example.com>",
        "Jane < jane@example.com > ",
    ],
)
def test_a_name_before_the_address_is_left_out(entry: str) -> None:
    assert parse(entry) == Addresses(("jane@example.com",), ())


def test_a_name_with_a_comma_does_not_cost_the_address() -> None:
    assert parse("Doe, Jane <jane@example.com>; b@example.com").valid == ("jane@example.com", "b@example.com")


def test_each_address_counts_once_in_the_order_given() -> None:
    found = parse("b@example.com; a@example.com; B@EXAMPLE.com; b@example.com; Bee <b@Example.Com>")
    assert found.valid == ("b@example.com", "a@example.com")


def test_the_domain_is_brought_to_lower_case_and_the_name_kept_as_typed() -> None:
    assert parse("Duty.Manager@EXAMPLE.COM").valid == ("Duty.Manager@example.com",)


def test_different_domains_stay_different_addresses() -> None:
    assert len(parse("lead@straße.de; lead@strasse.de").valid) == 2


@pytest.mark.parametrize(
    "entry",
    [
        "security handler",
        "a@",
        "@example.com",
        "a@localhost",
        "a@@example.com",
        "a b@example.com",
        "+12025550147",
        "a@example.com\x00",
        "a@-example.com",
        "a@[10.0.0.1]",
        "x" * 300 + "@example.com",
        "a@example..com",
    ],
)
def test_one_bad_entry_is_told_and_costs_the_others_nothing(entry: str) -> None:
    assert parse(f"a@example.com; {entry}; b@example.com") == Addresses(("a@example.com", "b@example.com"), (entry,))


def test_the_text_is_what_dynamics_asks_for() -> None:
    assert parse("a@example.com,b@example.com\nnobody").text == "a@example.com; b@example.com"
    assert parse("").text == ""


@given(FIELD_LIKE)
@example("<" * 5000)
@example("a" * 50_000 + "@")
@example("a@example.com" + "\ud800")
@example("<" + "a<" * 2000 + ">")
def test_no_field_raises_or_loses_an_entry(field: str) -> None:
    found = parse(field)
    entries = [
        part for part in field.replace(",", ";").replace("\n", ";").replace("\r", ";").split(";") if part.strip()
    ]
    assert bool(found.valid or found.invalid) == bool(entries)
    assert len(found.valid) + len(found.invalid) <= len(entries)
    assert len({address.lower() for address in found.valid}) == len(found.valid)


@given(FIELD_LIKE)
@example("a@straße.de; a@bücher.example; b@EXAMPLE.com")
def test_the_text_reads_as_the_same_addresses(field: str) -> None:
    found = parse(field)
    assert parse(found.text) == Addresses(found.valid, ())


@given(st.lists(ADDRESSES), st.sampled_from([";", ", ", "\r\n"]))
def test_every_valid_address_is_found(addresses: list[str], separator: str) -> None:
    wanted = {address.lower() for address in addresses}
    assert {address.lower() for address in parse(separator.join(addresses)).valid} == wanted
