"""Privileges: what a caller lacks is answered with 403 and the privilege's name. [documented: status; name inferred]"""

from __future__ import annotations

from connector.sandbox.dataverse.errors import WebApiError, forbidden
from connector.sandbox.dataverse.messages import Caller
from connector.sandbox.dataverse.schema import Table


def demand(caller: Caller, access: str, table: Table) -> None:
    """Raises a 403 unless the caller holds e.g. `prvReadUser`; `access` is Read, Write, Create or Delete."""
    privilege = f"prv{access}{table.privilege}"
    if privilege in caller.rights.denied:
        raise forbidden(privilege, table.name)


def demand_supervisor(caller: Caller) -> None:
    """`CCaaS_*` actions need the Omnichannel Supervisor role. [documented]; their error bodies are not confirmed."""
    if not caller.rights.supervisor:
        raise WebApiError(403, "0x80042f25", "The user does not have the Omnichannel Supervisor role.")
