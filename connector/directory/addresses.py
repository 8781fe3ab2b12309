"""Reads the text of an Emergency Call Notifications field: addresses separated by semicolons, as people type them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from email_validator import EmailNotValidError, validate_email

# Dynamics asks for semicolons; commas and line breaks are what people paste from elsewhere.
_SEPARATORS = re.compile(r"[;,\r\n]+")
_NAMED = re.compile(r".*<([^<>]*)>\s*")


@dataclass(frozen=True)
class Addresses:
    """The valid addresses, each once in the order given, and the entries that are none."""

    valid: tuple[str, ...]
    invalid: tuple[str, ...]

    @property
    def text(self) -> str:
        """The field's own form."""
        return "; ".join(self.valid)


def parse(field: str | None) -> Addresses:
    """Reads a field. Never raises: one bad entry must not cost the others their message."""
    valid: dict[str, str] = {}
    invalid = []
    for part in _SEPARATORS.split(field or ""):
        entry = part.strip()
        if not entry:
            continue
        named = _NAMED.fullmatch(entry)
        address = _normal(named.group(1).strip() if named else entry)
        if address is None:
            invalid.append(entry)
        else:
            valid.setdefault(address.lower(), address)
    return Addresses(tuple(valid.values()), tuple(invalid))


@lru_cache(maxsize=10_000)
def _normal(entry: str) -> str | None:
    try:
        # No look-ups on the network: whether a domain takes mail shows when a message is sent.
        return validate_email(entry, check_deliverability=False, allow_smtputf8=False).normalized
    except EmailNotValidError:
        return None
