"""What was dialled: an emergency number, a test number, or neither, and in which country."""

from __future__ import annotations

from connector.mappings import Country, Mappings


def is_emergency(dialled: str, mappings: Mappings) -> bool:
    """Whether a dialled string is an emergency number of any supported country: when in doubt, yes.

    A digit that gets an outside line may stand before it.
    """
    digits = _digits(dialled)
    numbers = mappings.always_emergency.union(*(country.emergency for country in mappings.countries.values()))
    return digits in numbers or any(digits == line + number for line in mappings.outside_lines for number in numbers)


def is_drill(dialled: str, mappings: Mappings) -> bool:
    """Whether a dialled string is a test number (933 in the United States)."""
    digits = _digits(dialled)
    drills = {number for country in mappings.countries.values() for number in country.drill}
    return digits in drills and not is_emergency(dialled, mappings)


def country_dialling(dialled: str | None, mappings: Mappings) -> Country | None:
    """The first country in which a dialled string is an emergency or test number."""
    digits = _digits(dialled or "")
    return next((c for c in mappings.countries.values() if digits in (*c.emergency, *c.drill)), None)


def _digits(dialled: str) -> str:
    return "".join(character for character in dialled if character.isdigit())
