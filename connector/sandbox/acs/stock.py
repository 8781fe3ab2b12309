"""The telephone numbers that the stand-in can sell, all from ranges kept free for fiction and tests.

North America: 555-0100 to 555-0199 of each area code. United Kingdom: Ofcom's 01632 960000 to 960999.
Denmark has no such range, so a search there is out of stock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

# Area codes by country; the first is taken where a search names none.
AREAS: dict[str, tuple[str, ...]] = {
    "US": ("425", "206", "212", "415", "907"),
    "PR": ("787", "939"),
    "CA": ("416", "604", "514"),
    "GB": ("1632",),
    "DK": (),
}
TOLL_FREE = ("800", "888")
# Monthly prices of "Pricing for PSTN": geographic, toll-free.
PRICES = {"US": (1.0, 2.0), "PR": (1.0, 2.0), "CA": (1.0, 2.0), "GB": (1.0, 2.0), "DK": (0.82, 25.0)}


def candidates(country: str, kind: str, area_code: str | None) -> Iterator[str]:
    """The numbers of a country and type, as E.164; mobile numbers are not imitated (they carry messages only)."""
    if kind == "mobile":
        return
    areas: Sequence[str] = AREAS[country]
    if kind == "tollFree":
        areas = TOLL_FREE if country != "GB" and areas else ()
    for area in areas:
        if area_code and area_code != area:
            continue
        if country == "GB":
            yield from (f"+44{area}960{last:03}" for last in range(1000))
        else:
            yield from (f"+1{area}55501{last:02}" for last in range(100))


def cost(country: str, kind: str) -> dict[str, Any]:
    """What a number costs a month, as the service writes it."""
    geographic, toll_free = PRICES[country]
    return {
        "amount": toll_free if kind == "tollFree" else geographic,
        "currencyCode": "USD",
        "billingFrequency": "monthly",
    }
