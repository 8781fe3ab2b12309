"""Errors of the Web API: a status, a code that is unrelated to it, and a message. [documented: parse errors]"""

from __future__ import annotations

from collections.abc import Mapping


class WebApiError(Exception):
    """The request is answered with this status and `{"error": {"code", "message"}}`."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})


def bad_query(message: str) -> WebApiError:
    """400 for a query option that is unknown, refused or cannot be read. [third-party code: 0x80060888]"""
    return WebApiError(400, "0x80060888", message)


def bad_payload(message: str) -> WebApiError:
    """400 for a body that does not fit the table."""
    return WebApiError(
        400, "0x80048d19", f"Error identified in Payload provided by the user. InnerException: {message}"
    )


def not_found(table: str, key: str) -> WebApiError:
    """404 for a row that does not exist. [third-party code: 0x80040217]"""
    return WebApiError(404, "0x80040217", f"{table} With Id = {key} Does Not Exist")


def unknown_resource(segment: str) -> WebApiError:
    """404 for an address that names no entity set, action or function."""
    return WebApiError(404, "0x8006088a", f"Resource not found for the segment '{segment}'.")


def version_mismatch() -> WebApiError:
    """412 for an `If-Match` that is not the row's etag. [documented text; third-party code: 0x80060882]"""
    return WebApiError(
        412, "0x80060882", "The version of the existing record doesn't match the RowVersion property provided."
    )


def duplicate(message: str = "A record with matching key values already exists.") -> WebApiError:
    """412 for a second row with the same key. [third-party code: 0x80040237]"""
    return WebApiError(412, "0x80040237", message)


def forbidden(privilege: str, table: str = "") -> WebApiError:
    """403 naming the privilege that the caller lacks. [documented status]"""
    where = f" for entity '{table}'" if table else ""
    return WebApiError(403, "0x80042f25", f"Principal user is missing {privilege} privilege{where}")


def not_implemented(what: str) -> WebApiError:
    """501 for what the stand-in leaves out."""
    return WebApiError(501, "0x80040203", f"The stand-in does not implement {what}.")
