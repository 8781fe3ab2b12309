"""Rows that every organisation has: presences, roles, messages, the two custom APIs, the e-mail templates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connector.sandbox.dataverse.tables import TABLES

Row = dict[str, Any]
NewId = Callable[[], str]

CREATED_ON = "2026-01-05T08:00:00Z"

AVAILABLE = "f523f628-c07a-e811-8162-000d3aa11f50"
BUSY = "efdeb843-c07a-e811-8162-000d3aa11f50"
BUSY_DND = "08971864-c07a-e811-8162-000d3aa11f50"
OFFLINE = "70139190-c07a-e811-8162-000d3aa11f50"
AWAY = "3dacae76-c07a-e811-8162-000d3aa11f50"

# The five ids that Microsoft documents, with their base statuses.
_PRESENCES = (
    (AVAILABLE, "Available", 192360000),
    (BUSY, "Busy", 192360001),
    (BUSY_DND, "Busy DND", 192360002),
    (AWAY, "Away", 192360003),
    (OFFLINE, "Offline", 192360004),
)

TEMPLATE_TITLE = "Emergency Call Notification Template"

_APIS: dict[str, tuple[tuple[str, bool], ...]] = {
    # Name of a parameter, and whether it may be left out.
    "ec_EmergencyCallDialled": (
        ("AgentId", False),
        ("DialledNumber", False),
        ("CallId", True),
        ("DialledOn", True),
        ("Country", True),
        ("Location", True),
        ("CallbackNumber", True),
        ("AgentIdentity", True),
    ),
    "ec_EmergencyCallEnded": (("AgentId", False), ("CallId", True), ("EndedOn", True)),
}
_STRING, _GLOBAL, _SYNC_AND_ASYNC = 10, 0, 2


def presences() -> list[Row]:
    """The five presences."""
    return [
        {
            "msdyn_presenceid": key,
            "msdyn_name": name,
            "msdyn_presencestatustext": name,
            "msdyn_basepresencestatus": base,
            "msdyn_canuserset": True,
            "statecode": 0,
            "statuscode": 1,
        }
        for key, name, base in _PRESENCES
    ]


def roles(new_id: NewId, business_unit: str) -> list[Row]:
    """The roles; the first is the one that agents have."""
    names = ("Omnichannel agent", "Omnichannel supervisor", "Omnichannel administrator", "System Administrator")
    return [{"roleid": new_id(), "name": name, "_businessunitid_value": business_unit} for name in names]


def messages(new_id: NewId) -> tuple[list[Row], list[Row]]:
    """`sdkmessage` and `sdkmessagefilter` rows: the three basic messages on every table."""
    found = [{"sdkmessageid": new_id(), "name": name} for name in ("Create", "Update", "Delete")]
    filters = [
        {
            "sdkmessagefilterid": new_id(),
            "_sdkmessageid_value": message["sdkmessageid"],
            "primaryobjecttypecode": table,
            "secondaryobjecttypecode": "none",
            "iscustomprocessingstepallowed": True,
        }
        for message in found
        for table in TABLES
    ]
    return found, filters


def custom_apis(new_id: NewId) -> tuple[list[Row], list[Row], list[Row]]:
    """`customapi`, `customapirequestparameter` and the `sdkmessage` rows that they publish.

    Global, no plug-in, steps of both kinds allowed: what a webhook step on the message needs. [documented]
    """
    apis, parameters, published = [], [], []
    for name, declared in _APIS.items():
        key = new_id()
        apis.append(
            {
                "customapiid": key,
                "uniquename": name,
                "name": name,
                "displayname": name,
                "bindingtype": _GLOBAL,
                "isfunction": False,
                "isprivate": False,
                "allowedcustomprocessingsteptype": _SYNC_AND_ASYNC,
                "workflowsdkstepenabled": False,
                "_sdkmessageid_value": key,
                "statecode": 0,
                "statuscode": 1,
            }
        )
        published.append({"sdkmessageid": key, "name": name})
        parameters += [
            {
                "customapirequestparameterid": new_id(),
                "uniquename": parameter,
                "name": f"{name}.{parameter}",
                "displayname": parameter,
                "type": _STRING,
                "isoptional": optional,
                "_customapiid_value": key,
                "statecode": 0,
                "statuscode": 1,
            }
            for parameter, optional in declared
        ]
    return apis, parameters, published


def templates(new_id: NewId) -> list[Row]:
    """The notification template, whose real text is public nowhere, and one that has nothing to do with it."""
    emergency = _template(
        new_id(),
        TEMPLATE_TITLE,
        ("Emergency call by ", ("fullname",), "an agent", ""),
        _EMERGENCY_BODY,
    )
    other = _template(
        new_id(),
        "Welcome to the contact centre",
        ("Welcome, ", ("firstname", "fullname"), "colleague", "!"),
        (
            (
                "<p>Hello ",
                ("firstname",),
                "colleague",
                ",</p><p>your account is ready. Your manager will be in touch.</p>",
            ),
        ),
    )
    return [emergency, other]


# Text before, columns tried in order, default text, text after.
Piece = tuple[str, tuple[str, ...], str, str]
_EMERGENCY_BODY: tuple[Piece, ...] = (
    ('<div data-wrapper="true" dir="ltr" style="font-size:9pt;font-family:\'Segoe UI\',Arial,sans-serif;">'
     "<p>You are an emergency contact of this contact centre.</p><p><strong>", ("fullname",), "One of your agents",
     "</strong>&nbsp;has just dialled the emergency services.</p>"),
    ("<p>Address on file:<br>", ("address1_line1",), "no street on file", "<br>"),
    ("", ("address1_postalcode",), "", " "),
    ("", ("address1_city",), "no city on file", "<br>"),
    ("", ("address1_stateorprovince",), "", " "),
    ("", ("address1_country",), "no country on file", "</p>"),
    ("<p>Mobile: ", ("mobilephone", "address1_telephone1"), "not on file",
     "</p><p>Please make sure that responders can reach the agent, and do not reply to this message.</p></div>"),
)  # fmt: skip


def _template(key: str, title: str, subject: Piece, body: tuple[Piece, ...]) -> Row:
    return {
        "templateid": key,
        "title": title,
        "subject": _stylesheet((subject,)),
        "body": _stylesheet(body),
        "subjectpresentationxml": _presentation((subject,)),
        "presentationxml": _presentation(body),
        "languagecode": 1033,
        "templatetypecode": "systemuser",
        "ispersonal": False,
        "ismanaged": True,
        "mimetype": "text/html",
        "createdon": CREATED_ON,
        "modifiedon": CREATED_ON,
    }


def _stylesheet(pieces: tuple[Piece, ...]) -> str:
    """XSLT in the shape of shipped templates: a byte-order mark, `method="text"`, text in CDATA. [third-party code]"""
    content = "".join(
        _cdata(before) + _choose(names, default) + _cdata(after) for before, names, default, after in pieces
    )
    return (
        '\ufeff<?xml version="1.0" ?><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0">'
        f'<xsl:output method="text" indent="no"/><xsl:template match="/data">{content}</xsl:template></xsl:stylesheet>'
    )


def _choose(names: tuple[str, ...], default: str) -> str:
    """The first column that is present, else the default text."""
    whens = "".join(
        f'<xsl:when test="systemuser/{name}"><xsl:value-of select="systemuser/{name}" /></xsl:when>' for name in names
    )
    return f"<xsl:choose>{whens}<xsl:otherwise>{default}</xsl:otherwise></xsl:choose>"


def _presentation(pieces: tuple[Piece, ...]) -> str:
    """The same in the editor's own form: texts and slugs, several slugs being a list of fallbacks."""
    parts = []
    for before, names, default, after in pieces:
        slugs = "".join(f"<slug><entity>systemuser</entity><attribute>{name}</attribute></slug>" for name in names)
        parts += [_text(before), f"<slugs>{slugs}<default>{default}</default></slugs>", _text(after)]
    return f"\ufeff<template>{''.join(parts)}</template>"


def _cdata(text: str) -> str:
    return f"<![CDATA[{text}]]>" if text else ""


def _text(text: str) -> str:
    return f"<text>{_cdata(text)}</text>" if text else ""
