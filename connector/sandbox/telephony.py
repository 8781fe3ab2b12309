"""Telephone numbers as Dataverse and ACS hold them, and the direct-routing configuration of the ACS resource."""

from __future__ import annotations

from typing import Any

from connector.sandbox.names import Country
from connector.sandbox.platform_rows import CREATED_ON

Row = dict[str, Any]
DIRECT_ROUTING = 192350001


def phone_row(key: str, number: str, iso: str, carrier: str) -> Row:
    """A calling-plan number as Dataverse holds it."""
    return {
        "msdyn_ocphonenumberid": key,
        "msdyn_name": number,
        "msdyn_phonenumber": number,
        "msdyn_formattedphonenumber": number,
        "msdyn_countryisocode": iso,
        "msdyn_phoneoutboundenabled": True,
        "msdyn_phoneinboundenabled": True,
        "msdyn_smsinboundenabled": False,
        "msdyn_smsoutboundenabled": False,
        "msdyn_type": 192350000,
        "msdyn_ocphonenumbersource": 192350000,
        "msdyn_phonenumbertype": 0,
        "_msdyn_carrierid_value": carrier,
        "statecode": 0,
        "statuscode": 1,
        "createdon": CREATED_ON,
        "modifiedon": CREATED_ON,
    }


def acs_number(number: str, country: Country, calling: str = "inbound+outbound") -> Row:
    """A purchased number in the shape of the ACS contract, all eight fields. [documented; recorded prices]"""
    return {
        "id": number.lstrip("+"),
        "phoneNumber": number,
        "countryCode": country.iso,
        "phoneNumberType": "geographic",
        "capabilities": {"calling": calling, "sms": "none"},
        "assignmentType": "application",
        "purchaseDate": "2026-01-05T08:00:00.0000000Z",
        "cost": {"amount": country.lease_cost, "currencyCode": country.currency, "billingFrequency": "monthly"},
    }


def direct_routing() -> Row:
    """Trunks and routes as `GET /sip` answers them.

    One route catches 112, as an organisation's own alarm line might; the customer range is unanchored, as real ones
    are; nothing matches 911 or 999. [recorded traffic: the pattern]
    """
    trunks = {f"sbc{number}.example.com": {"sipSignalingPort": 5061} for number in (1, 2, 3)}
    routes = [
        {
            "name": "Alarm centre",
            "description": "112 goes out through our own carrier",
            "numberPattern": r"^\+?112$",
            "trunks": ["sbc3.example.com"],
        },
        {
            "name": "Customer range",
            "description": "",
            "numberPattern": r"\+123[0-9]+",
            "trunks": ["sbc1.example.com", "sbc2.example.com"],
        },
        {
            "name": "Danish offices",
            "description": "Internal numbers",
            "numberPattern": r"^\+4510[0-9]{6}$",
            "trunks": ["sbc3.example.com"],
        },
    ]
    return {"trunks": trunks, "routes": routes}
