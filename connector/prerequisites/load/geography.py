"""The country of a place on earth, found without any network."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

import tzfpy


def country_at(latitude: float, longitude: float) -> str | None:
    """The ISO 3166-1 alpha-2 code of the country, None at sea and at the poles. Degrees, WGS 84.

    By the time zone of the place: each belongs to one country (Puerto Rico has its own). Within a few hundred metres
    of a border it may be the neighbour's.
    """
    return _countries().get(tzfpy.get_tz(longitude, latitude))


@cache
def _countries() -> dict[str, str]:
    """By time zone: its country, from the table that the zone data itself carries."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[2]: row[0] for row in rows}
