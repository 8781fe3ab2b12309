"""The country of a place, without any network."""

from __future__ import annotations

import pytest

from connector import mappings as mapping_files
from connector.prerequisites.load.geography import country_at

PLACES = [
    ("New York", 40.713, -74.006, "US"),
    ("Honolulu", 21.307, -157.858, "US"),
    ("Detroit", 42.331, -83.046, "US"),
    ("Windsor, Ontario", 42.308, -83.030, "CA"),
    ("Vancouver", 49.283, -123.121, "CA"),
    ("San Juan", 18.466, -66.106, "PR"),
    ("Culebra", 18.310, -65.300, "PR"),
    ("Charlotte Amalie", 18.342, -64.933, "VI"),
    ("London", 51.507, -0.128, "GB"),
    ("Belfast", 54.597, -5.930, "GB"),
    ("Dublin", 53.350, -6.260, "IE"),
    ("Copenhagen", 55.676, 12.568, "DK"),
    ("Rønne", 55.101, 14.706, "DK"),
    ("Malmö", 55.605, 13.000, "SE"),
    ("Tórshavn", 62.010, -6.770, "FO"),
    ("Berlin", 52.520, 13.405, "DE"),
]


@pytest.mark.parametrize(("place", "latitude", "longitude", "country"), PLACES, ids=[place[0] for place in PLACES])
def test_a_place_lies_in_its_country(place: str, latitude: float, longitude: float, country: str) -> None:
    assert country_at(latitude, longitude) == country


@pytest.mark.parametrize(("latitude", "longitude"), [(40.0, -40.0), (90.0, 0.0), (-90.0, 180.0), (0.0, -180.0)])
def test_the_sea_and_the_poles_lie_in_none(latitude: float, longitude: float) -> None:
    assert country_at(latitude, longitude) in (None, "AQ")


@pytest.mark.parametrize("code", ["GU", "VI", "MP", "AS"])
def test_territories_count_as_the_united_states(code: str) -> None:
    found = mapping_files.load().country(code)
    assert found is not None
    assert found.code == "US"
