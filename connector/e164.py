"""Brings phone numbers into one form, E.164, so that they can be compared."""

from __future__ import annotations

from functools import lru_cache

import phonenumbers


@lru_cache(maxsize=20_000)
def e164(text: str | None, country: str | None = None) -> str | None:
    """ "+12025550147" for whatever people and services write, None for what is no number.

    `country` (ISO code) is for numbers written without their country.
    """
    if not text or not text.strip():
        return None
    raw = text.strip().removeprefix("tel:").removeprefix("4:")
    try:
        region = (country or "").upper()
        parsed = phonenumbers.parse(raw, region if region in phonenumbers.SUPPORTED_REGIONS else None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
