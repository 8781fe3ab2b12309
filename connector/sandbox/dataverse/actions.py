"""Actions and functions: presence, e-mail templates and sending, and the organisation's own custom APIs.

The bodies of `CCaaS_*` errors and the full `InstantiateTemplate` answer are not confirmed by Microsoft's pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lxml import etree

from connector.clock import Clock
from connector.sandbox.dataverse.context import Change
from connector.sandbox.dataverse.errors import WebApiError, bad_payload, not_found
from connector.sandbox.dataverse.filters import iso
from connector.sandbox.dataverse.messages import Request, Response, json_response
from connector.sandbox.dataverse.options import ZERO_GUID, DataverseOptions
from connector.sandbox.dataverse.privileges import demand, demand_supervisor
from connector.sandbox.dataverse.rows import Row, Rows, Transaction, Values
from connector.sandbox.dataverse.steps import Steps
from connector.sandbox.dataverse.tables import TABLES
from connector.sandbox.dataverse.writes import Writer

ENGINE_AGENT = "Microsoft.CCaaS.AssignmentEngineVNext.AssignmentEngineVNext (DataverseSvcClient:1.1.0.11)"
_STRING = 10
_BOTH_KINDS = 2
_FITS: dict[int, Callable[[Any], bool]] = {
    0: lambda value: isinstance(value, bool),
    1: lambda value: isinstance(value, str),
    7: lambda value: isinstance(value, int) and not isinstance(value, bool),
    _STRING: lambda value: isinstance(value, str),
    12: lambda value: isinstance(value, str) and re.fullmatch(r"[0-9a-fA-F-]{36}", value) is not None,
}
_SENDER, _SENT, _PENDING = 1, 3, 6


class Actions:
    """Runs unbound actions and functions by name, and the bound `SendEmail`."""

    def __init__(
        self, rows: Rows, writer: Writer, steps: Steps, clock: Clock, options: DataverseOptions, engine_user: str
    ) -> None:
        self._rows = rows
        self._writer = writer
        self._steps = steps
        self._clock = clock
        self._options = options
        self._engine_user = engine_user
        self._statuses: dict[str, str] = {}
        self._built_in: dict[tuple[str, str], Callable[[Request, Transaction], Response]] = {
            ("POST", "CCaaS_ModifyAgentPresence"): self._modify_presence,
            ("GET", "CCaaS_GetPresence"): self._get_presence,
            ("POST", "InstantiateTemplate"): self._instantiate_template,
            ("GET", "WhoAmI"): self._who_am_i,
        }

    def find(self, method: str, path: str) -> Callable[[Request, Transaction], Response] | None:
        """The operation at an address, if there is one; a known name with the wrong method is a 405."""
        name = path.removesuffix("()")
        if (method, name) in self._built_in:
            return self._built_in[method, name]
        api = self._rows.find("customapi", lambda values: values.get("uniquename") == name)
        known = api is not None or any(known_name == name for _, known_name in self._built_in)
        if known and (api is None or method != "POST"):
            raise WebApiError(405, "0x80060888", f"The http method '{method}' is not supported for '{name}'.")
        if api is None:
            return None
        return lambda request, transaction: self._custom_api(api.values, request, transaction)

    def set_presence(
        self, agent_id: str, presence_id: str, by: str, request: Request, transaction: Transaction
    ) -> None:
        """Writes an agent's presence as the platform does: its engine writes, unchanged columns included."""
        status = self._status(agent_id)
        if status is None:
            raise not_found("msdyn_agentstatus", agent_id)
        if self._rows.get("msdyn_presence", presence_id) is None:
            raise not_found("msdyn_presence", presence_id)
        if self._options.presence_needs_login and not status.values.get("msdyn_isagentloggedin"):
            return
        now = self._clock.now()
        content: Values = {
            "msdyn_availableunitscapacity": status.values.get("msdyn_availableunitscapacity"),
            "msdyn_currentpresenceid@odata.bind": f"/msdyn_presences({presence_id})",
            "msdyn_capacitymodifiedon": status.values.get("msdyn_capacitymodifiedon"),
            "msdyn_presencemodifiedby": by,
            "msdyn_presencemodifiedon": iso(now),
            "msdyn_presencemodifiedonwithmilliseconds": now.isoformat(timespec="milliseconds"),
            "msdyn_isblockedbysomeprofile": status.values.get("msdyn_isblockedbysomeprofile"),
            "msdyn_isagentloggedin": status.values.get("msdyn_isagentloggedin"),
            "msdyn_agentid@odata.bind": f"/systemusers({agent_id})",
        }
        engine = replace(
            request.caller,
            user_id=self._engine_user,
            real_user_id=None,
            agent=ENGINE_AGENT,
            rights=type(request.caller.rights)(),
        )
        self._writer.update(
            TABLES["msdyn_agentstatus"], status, content, replace(request, caller=engine, headers={}), transaction
        )

    def send_email(self, email_id: str, request: Request, transaction: Transaction) -> Response:
        """`SendEmail`: needs a user as sender; mail of an unready mailbox stays Pending Send. [third-party code]"""
        row = self._writer.require(TABLES["email"], email_id)
        parties = [p for p in self._rows.all("activityparty") if p.get("_activityid_value") == row.id]
        senders = [
            p["_partyid_value"] for p in parties if p["participationtypemask"] == _SENDER and "_partyid_value" in p
        ]
        if not senders:
            raise WebApiError(400, "0x80040225", "Invalid sender party")
        if request.json().get("IssueSend", True):
            sent = self._mailbox_ready(senders[0])
            changes = {"statecode": 1, "statuscode": _SENT} if sent else {"statecode": 1, "statuscode": _PENDING}
            transaction.update("email", row.id, changes)
        return json_response(
            {
                "@odata.context": f"{request.root}/$metadata#Microsoft.Dynamics.CRM.SendEmailResponse",
                "Subject": row.values.get("subject", ""),
            }
        )

    def create_email(self, request: Request, transaction: Transaction) -> Row:
        """Creates an e-mail with its parties, the one deep insert that this stand-in knows."""
        content = request.json()
        parties = content.pop("email_activity_parties", [])
        email = self._writer.create(TABLES["email"], content, request, transaction)
        for party in parties:
            bound = {"activityid_email@odata.bind": f"/emails({email.id})", **party}
            self._writer.create(TABLES["activityparty"], bound, request, transaction)
        return email

    def created(self, table: str, row: Row, transaction: Transaction) -> None:
        """A new custom API publishes a message of its name, on which steps can be registered. [documented]"""
        if table == "customapi":
            message = {"sdkmessageid": row.id, "name": row.values.get("uniquename")}
            transaction.insert("sdkmessage", message)
            transaction.update("customapi", row.id, {"_sdkmessageid_value": row.id})
        if table == "sdkmessageprocessingstep":
            self._check_step(row.values)

    def deleted(self, table: str, row_id: str, transaction: Transaction) -> None:
        """What goes with a row: the message of a custom API, the steps of an endpoint."""
        if table == "customapi" and self._rows.get("sdkmessage", row_id):
            transaction.delete("sdkmessage", row_id)
        if table == "serviceendpoint":
            steps = self._rows.all("sdkmessageprocessingstep")
            for step in [step for step in steps if step.get("_eventhandler_value") == row_id]:
                transaction.delete("sdkmessageprocessingstep", step["sdkmessageprocessingstepid"])

    def _check_step(self, step: Values) -> None:
        """A custom API allows no steps, asynchronous ones only, or both. [documented: custom API tables]"""
        message = step.get("_sdkmessageid_value")
        api = self._rows.find("customapi", lambda values: values.get("_sdkmessageid_value") == message)
        allowed = api.values.get("allowedcustomprocessingsteptype", 0) if api else _BOTH_KINDS
        if allowed == 0 or (allowed == 1 and step.get("mode") == 0):
            raise bad_payload("Custom SDKMessageProcessingStep is not allowed on the specified message.")

    def _modify_presence(self, request: Request, transaction: Transaction) -> Response:
        demand_supervisor(request.caller)
        content = request.json()
        if content.get("ApiVersion") != "1.0" or not content.get("AgentId") or not content.get("PresenceId"):
            raise bad_payload("ApiVersion 1.0, AgentId and PresenceId are required.")
        agent, presence = str(content["AgentId"]).lower(), str(content["PresenceId"]).lower()
        self.set_presence(agent, presence, self._options.presence_modified_by, request, transaction)
        return Response(200, headers={"OData-Version": "4.0"})

    def _get_presence(self, request: Request, _transaction: Transaction) -> Response:
        agent = request.caller.user_id
        status = self._status(agent)
        if status is None:
            raise not_found("msdyn_agentstatus", agent)
        user = self._rows.get("systemuser", agent)
        presence = self._rows.get("msdyn_presence", status.values["_msdyn_currentpresenceid_value"])
        return json_response(
            {
                "ActiveBrowserSessions": 1 if status.values.get("msdyn_isagentloggedin") else 0,
                "AgentId": agent,
                "AgentName": user.values.get("fullname") if user else None,
                "Timestamp": int(self._clock.now().timestamp()),
                "AllowedChannels": ["voice"],
                "DisabledChannels": [],
                "CurrentPresenceStatusInfo": presence.values.get("msdyn_name") if presence else None,
                "PresenceId": status.values["_msdyn_currentpresenceid_value"],
            }
        )

    def _instantiate_template(self, request: Request, _transaction: Transaction) -> Response:
        content = request.json()
        table = TABLES.get(str(content.get("ObjectType")))
        if table is None:
            raise bad_payload("ObjectType names no table.")
        for name in ("template", "email"):
            demand(request.caller, "Read", TABLES[name])
        template = self._writer.require(TABLES["template"], str(content.get("TemplateId")))
        row = self._writer.require(table, str(content.get("ObjectId")))
        data = _data_tree(table.name, row.values)
        email = {
            "@odata.type": "#Microsoft.Dynamics.CRM.email",
            "activityid": ZERO_GUID,
            "subject": _render(template.values["subject"], data),
            "description": _render(template.values["body"], data),
        }
        return json_response(
            {"@odata.context": f"{request.root}/$metadata#Collection(mscrm.crmbaseentity)", "value": [email]}
        )

    def _who_am_i(self, request: Request, _transaction: Transaction) -> Response:
        return json_response(
            {
                "@odata.context": f"{request.root}/$metadata#Microsoft.Dynamics.CRM.WhoAmIResponse",
                "BusinessUnitId": next(self._rows.all("businessunit"))["businessunitid"],
                "UserId": request.caller.user_id,
                "OrganizationId": next(self._rows.all("organization"))["organizationid"],
            }
        )

    def _custom_api(self, api: Values, request: Request, transaction: Transaction) -> Response:
        """A Global custom API without a plug-in: checks its parameters and runs the steps on its message."""
        content = {name: value for name, value in request.json().items() if not name.startswith("@")}
        declared = {
            parameter["uniquename"]: parameter
            for parameter in self._rows.all("customapirequestparameter")
            if parameter.get("_customapiid_value") == api["customapiid"]
        }
        for name, value in content.items():
            if name not in declared:
                raise bad_payload(
                    f"The parameter '{name}' is not a valid parameter for the operation '{api['uniquename']}'."
                )
            if value is not None and not _FITS.get(declared[name]["type"], lambda _value: True)(value):
                raise bad_payload(f"The value of the parameter '{name}' has the wrong type.")
        for name, parameter in declared.items():
            if not parameter.get("isoptional") and content.get(name) is None:
                raise bad_payload(f"The required parameter '{name}' is missing.")
        change = Change(api["uniquename"], None, ZERO_GUID, {}, {}, parameters=content)
        self._steps.run(change, request, transaction)
        return Response(204, headers={"OData-Version": "4.0"})

    def _status(self, agent_id: str) -> Row | None:
        """An agent's presence row, remembered: a search for each of a burst of changes would be felt."""
        row = self._rows.get("msdyn_agentstatus", self._statuses.get(agent_id, ""))
        if row is None or row.values.get("_msdyn_agentid_value") != agent_id:
            row = self._rows.find("msdyn_agentstatus", lambda values: values.get("_msdyn_agentid_value") == agent_id)
            if row is not None:
                self._statuses[agent_id] = row.id
        return row

    def _mailbox_ready(self, user_id: str) -> bool:
        user = self._rows.get("systemuser", user_id)
        mailbox = self._rows.get("mailbox", user.values.get("_defaultmailbox_value", "")) if user else None
        if mailbox is None:
            return False
        wanted = {
            "statecode": 0,
            "outgoingemaildeliverymethod": 2,
            "enabledforoutgoingemail": True,
            "outgoingemailstatus": 1,
            "emailrouteraccessapproval": 1,
        }
        return all(mailbox.values.get(name) == value for name, value in wanted.items())


def _data_tree(table: str, values: Values) -> Any:
    """`/data/<entity>/<attribute>`, the tree that template stylesheets read. [third-party code]"""
    root = etree.Element("data")
    entity = etree.SubElement(root, table)
    for name, value in values.items():
        if not name.startswith("_"):
            etree.SubElement(entity, name).text = str(value)
    return root


def _render(stylesheet: str, data: Any) -> str:
    """Runs a template's stylesheet; `method="text"` leaves merged values unescaped, as in Dataverse."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    document = etree.fromstring(stylesheet.lstrip("\ufeff").encode(), parser)
    # A stylesheet has no business with files or the network; the type stubs know neither argument nor constant.
    transform = etree.XSLT(document, access_control=etree.XSLTAccessControl.DENY_ALL)  # type: ignore[attr-defined]
    return str(transform(data))
