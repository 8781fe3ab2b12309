"""Communication identifiers on the wire: telephone numbers and identities, with their raw ids."""

from __future__ import annotations

from typing import Any

from connector.sandbox.acs.responses import ServiceError


def phone(number: str) -> dict[str, Any]:
    """A telephone number; its raw id is `4:` and the number."""
    return {"kind": "phoneNumber", "rawId": f"4:{number}", "phoneNumber": {"value": number}}


def identity(raw_id: str) -> dict[str, Any]:
    """An identity of the ACS resource, e.g. `8:acs:…`."""
    return {"kind": "communicationUser", "rawId": raw_id, "communicationUser": {"id": raw_id}}


def from_text(number_or_id: str) -> dict[str, Any]:
    """An identifier from its text: a number (`+…`) or an identity."""
    return phone(number_or_id) if number_or_id.startswith("+") else identity(number_or_id)


def text(identifier: Any) -> str:
    """The number or raw id of an identifier as a request brings it; official clients leave `kind` out."""
    if isinstance(identifier, dict):
        if number := (identifier.get("phoneNumber") or {}).get("value"):
            return str(number)
        if identifier.get("rawId"):
            return str(identifier["rawId"]).removeprefix("4:")
        if user := (identifier.get("communicationUser") or {}).get("id"):
            return str(user)
        if user := (identifier.get("microsoftTeamsUser") or {}).get("userId"):
            return f"8:orgid:{user}"
    raise ServiceError(400, "BadRequest", "The target is not a communication identifier.", target="target")
