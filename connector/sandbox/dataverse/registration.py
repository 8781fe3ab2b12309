"""Registers webhooks directly in the rows: what a registrar's requests leave behind, without the requests."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence

from connector.sandbox.dataverse.rows import Rows
from connector.sandbox.dataverse.sender import HTTP_HEADER, WEBHOOK_KEY, settings_xml


class Registration:
    """Writes endpoints and steps."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def register(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None,
        code: str | None,
        messages: Sequence[str],
        synchronous: bool,
        filtering: Sequence[str],
    ) -> str:
        """An endpoint and its steps. Header pairs win over a key; without either the key is empty."""
        endpoint = str(uuid.uuid4())
        value = settings_xml(headers) if headers else code or ""
        self._rows.insert(
            "serviceendpoint",
            {
                "serviceendpointid": endpoint,
                "name": f"Webhook {endpoint[:8]}",
                "url": url,
                "contract": 8,
                "authtype": HTTP_HEADER if headers else WEBHOOK_KEY,
                "authvalue": value,
                "isauthvalueset": bool(value),
                "messageformat": 2,
                "connectionmode": 1,
            },
        )
        for message in messages:
            self._step(endpoint, message, synchronous=synchronous, filtering=filtering)
        return endpoint

    def _step(self, endpoint: str, wanted: str, *, synchronous: bool, filtering: Sequence[str]) -> None:
        name, _, table = wanted.partition(":")
        message = self._rows.find("sdkmessage", lambda values: values["name"] == name)
        if message is None:
            raise ValueError(f"there is no message '{name}'")
        values = {
            "sdkmessageprocessingstepid": str(uuid.uuid4()),
            "name": f"Webhook: {name}{' of ' + table if table else ''}",
            "stage": 40,
            "mode": 0 if synchronous else 1,
            "rank": 1,
            "supporteddeployment": 0,
            "asyncautodelete": False,
            "statecode": 0,
            "statuscode": 1,
            "_eventhandler_value": endpoint,
            "_sdkmessageid_value": message.id,
        }
        if table:
            found = self._rows.find(
                "sdkmessagefilter",
                lambda row: row["_sdkmessageid_value"] == message.id and row["primaryobjecttypecode"] == table,
            )
            if found is None:
                raise ValueError(f"the message '{name}' does not exist for '{table}'")
            values["_sdkmessagefilterid_value"] = found.id
        if filtering:
            values["filteringattributes"] = ",".join(filtering)
        self._rows.insert("sdkmessageprocessingstep", values)
