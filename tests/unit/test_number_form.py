"""Phone numbers in one form, and which of them may be leased."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.acs.numbers import PurchasedNumber
from connector.e164 import e164
from connector.numbers.pool import for_callbacks

US, US_TOO, GB = "+12025550101", "+12025550102", "+442079460101"


def own(number: str, calling: str = "inbound+outbound", country: str = "US") -> PurchasedNumber:
    return PurchasedNumber(number, country, calling, "geographic")


# The form


@pytest.mark.parametrize(
    "text",
    ["+12025550147", " +1 (202) 555-0147 ", "+1-202-555-0147", "tel:+12025550147", "4:+12025550147", "+1.202.555.0147"],
)
def test_one_number_in_every_dress(text: str) -> None:
    assert e164(text) == "+12025550147"


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("(202) 555-0147", "US", "+12025550147"),
        ("020 7946 0101", "GB", "+442079460101"),
        ("32 12 34 56", "DK", "+4532123456"),
        ("+442079460101", "US", "+442079460101"),
    ],
)
def test_a_number_without_its_country_needs_one(text: str, country: str, expected: str) -> None:
    assert e164(text, country) == expected


@pytest.mark.parametrize("country", [None, "", "XX", "United States"])
def test_without_a_known_country_a_national_number_is_none(country: str | None) -> None:
    assert e164("(202) 555-0147", country) is None


@pytest.mark.parametrize(
    "text", [None, "", "  ", "911", "+911", "handler", "+", "+1", "tel:", "4:", "+1202555014712345", "8:acs:x"]
)
def test_what_is_no_number_is_none(text: str | None) -> None:
    assert e164(text) is None


@given(
    st.text() | st.from_regex(r"(tel:|4:)?\+?[0-9 ().;,x#*-]{0,30}"),
    st.none() | st.sampled_from(["US", "GB", "DK", "?"]),
)
@example("\ud800", None)
@example("+" + "1" * 100_000, "US")
@example("٠١٢٣٤٥٦٧٨٩", "US")
def test_no_text_raises_and_the_form_is_stable(text: str, country: str | None) -> None:
    number = e164(text, country)
    if number is not None:
        assert number[0] == "+"
        assert number[1:].isascii()
        assert number[1:].isdigit()
        assert e164(number) == number


# The numbers that may be leased


def test_numbers_that_take_calls_and_are_not_in_use_may_be_leased() -> None:
    assert for_callbacks([own(US), own(GB, "inbound", "GB")], set()) == {US: "US", GB: "GB"}


@pytest.mark.parametrize("calling", ["none", "outbound"])
def test_a_number_that_takes_no_calls_is_left_out(calling: str) -> None:
    assert for_callbacks([own(US, calling)], set()) == {}
    assert for_callbacks([own(US, calling)], set(), [US]) == {}


def test_a_number_that_dynamics_uses_is_left_out() -> None:
    assert for_callbacks([own(US), own(US_TOO)], {US}) == {US_TOO: "US"}


def test_chosen_numbers_are_the_only_ones() -> None:
    assert for_callbacks([own(US), own(US_TOO)], set(), [US]) == {US: "US"}
    assert for_callbacks([own(US), own(US_TOO)], {US}, ["tel:+1 202 555 0101"]) == {US: "US"}


def test_a_chosen_number_must_be_owned() -> None:
    assert for_callbacks([own(US)], set(), [GB]) == {}


def test_a_choice_that_cannot_be_read_does_not_open_the_whole_pool() -> None:
    assert for_callbacks([own(US), own(US_TOO)], set(), ["2025550101"]) == {}


def test_countries_are_told_in_capitals() -> None:
    assert for_callbacks([own(US, country="us")], set()) == {US: "US"}


@given(
    st.lists(
        st.builds(own, st.sampled_from([US, US_TOO, GB]), st.sampled_from(["none", "inbound", "inbound+outbound"]))
    ),
    st.sets(st.sampled_from([US, US_TOO, GB])),
    st.lists(st.sampled_from([US, US_TOO, GB])),
)
def test_only_owned_numbers_that_take_calls_are_leased(
    owned: list[PurchasedNumber], in_use: set[str], chosen: list[str]
) -> None:
    pool = for_callbacks(owned, in_use, chosen)
    assert set(pool) <= {number.number for number in owned if "inbound" in number.calling}
    assert set(pool) <= set(chosen) if chosen else not set(pool) & in_use
