"""The rows of one agent: user, role, mailbox, resource, capacity profile, presence, number; and what can be wrong.

A ready agent meets every prerequisite that Microsoft's article on emergency calls names. Each `Defect` breaks one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from connector.sandbox.names import Country, mail_name
from connector.sandbox.platform_rows import AVAILABLE, AWAY, BUSY, CREATED_ON, OFFLINE
from connector.sandbox.profiles import Profiles
from connector.sandbox.telephony import DIRECT_ROUTING, acs_number, phone_row

Row = dict[str, Any]
# Most agents are at work when the demonstration starts.
_PRESENCES = (AVAILABLE,) * 8 + (BUSY, AWAY)


class Defect(StrEnum):
    """What is wrong with an agent."""

    NO_RESOURCE = "no bookable resource"
    INACTIVE_RESOURCE = "inactive bookable resource"
    NO_PROFILE_LINK = "no capacity profile"
    INACTIVE_PROFILE_LINK = "inactive link to the capacity profile"
    INACTIVE_PROFILE = "inactive capacity profile"
    NO_WORKSTREAM = "profile without a workstream"
    INBOUND_WORKSTREAM = "inbound workstream only"
    NOT_VOICE = "workstream is not voice"
    INACTIVE_WORKSTREAM = "inactive workstream"
    NO_CHANNEL = "workstream without a voice channel"
    NO_CHANNEL_NUMBER = "voice channel without a number"
    CHANNEL_NUMBER_NOT_OUTBOUND = "number of the channel not enabled for outbound calls"
    NO_MAILBOX = "no mailbox"
    INACTIVE_MAILBOX = "inactive mailbox"
    DELIVERY_METHOD = "outgoing e-mail not by server-side synchronisation"
    OUTGOING_DISABLED = "outgoing e-mail disabled"
    TEST_NOT_RUN = "mailbox test not run"
    TEST_FAILED = "mailbox test failed"
    ADDRESS_NOT_APPROVED = "e-mail address not approved"
    NO_RECIPIENTS = "no emergency contacts"
    INVALID_RECIPIENT = "an invalid address among the emergency contacts"
    NOT_PURCHASED = "number not owned by the ACS resource"
    INBOUND_ONLY = "number bought for inbound calls only"
    ROUTE_CATCHES_EMERGENCY = "a direct-routing rule catches the emergency number"
    THIRD_PARTY_CARRIER = "direct routing over a third-party carrier"
    UNSUPPORTED_COUNTRY = "country without emergency calling"


_PROFILE_DEFECTS = frozenset(
    {
        Defect.INACTIVE_PROFILE,
        Defect.NO_WORKSTREAM,
        Defect.INBOUND_WORKSTREAM,
        Defect.NOT_VOICE,
        Defect.INACTIVE_WORKSTREAM,
        Defect.NO_CHANNEL,
        Defect.NO_CHANNEL_NUMBER,
        Defect.CHANNEL_NUMBER_NOT_OUTBOUND,
    }
)
_MOST_SPARES = 20
_MAILBOX_CHANGES: Mapping[Defect, Row] = {
    Defect.INACTIVE_MAILBOX: {"statecode": 1, "statuscode": 2},
    Defect.DELIVERY_METHOD: {"outgoingemaildeliverymethod": 0},
    Defect.OUTGOING_DISABLED: {"enabledforoutgoingemail": False},
    Defect.TEST_NOT_RUN: {"outgoingemailstatus": 0},
    Defect.TEST_FAILED: {"outgoingemailstatus": 2},
    Defect.ADDRESS_NOT_APPROVED: {"emailrouteraccessapproval": 2, "isemailaddressapprovedbyo365admin": False},
}


@dataclass
class Shared:
    """What agents have in common, so that a hundred thousand of them need no hundred thousand numbers."""

    business_unit: str
    agent_role: str
    microsoft: str
    third_party: str
    numbers: dict[str, Iterator[str]]
    """The unused fictitious numbers of each country."""
    own_numbers: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the calling-plan numbers of each country."""


class AgentRows:
    """Adds users and everything that belongs to them."""

    def __init__(
        self,
        shared: Shared,
        new_id: Callable[[], str],
        chance: random.Random,
        tables: dict[str, list[Row]],
        acs: list[Row],
    ) -> None:
        self._shared = shared
        self._id = new_id
        self._random = chance
        self._tables = tables
        self._acs = acs
        numbers = {iso: ids[0] for iso, ids in shared.own_numbers.items()}
        self._profiles = Profiles(new_id, tables, numbers, self._spare_number)
        self._added = 0
        self._kept_spares: dict[tuple[str, str], list[str]] = {}
        self._taken: dict[str, int] = {}

    def add(self, country: Country, defect: Defect | None, *, disabled: bool = False) -> str:
        """Adds an agent, ready but for the defect."""
        user = self._user(country)
        key: str = user["systemuserid"]
        if disabled:
            user["isdisabled"] = True
        user["_msdyn_phonenumberid_value"] = self._own_number(country, defect)
        user["msdyn_emergencyemailrecipients"] = _recipients(self._added, user["address1_city"])
        if defect is Defect.NO_RECIPIENTS:
            del user["msdyn_emergencyemailrecipients"]
        elif defect is Defect.INVALID_RECIPIENT:
            user["msdyn_emergencyemailrecipients"] = "security.handler@example.com; night shift at example"
        elif defect is Defect.UNSUPPORTED_COUNTRY:
            user |= {
                "address1_line1": "Hauptstraße 12",
                "address1_city": "Bremen",
                "address1_postalcode": "28195",
                "address1_stateorprovince": "Bremen",
                "address1_country": "Germany",
            }
        self._tables["systemuserroles"].append(
            {"systemuserroleid": self._id(), "systemuserid": key, "roleid": self._shared.agent_role}
        )
        if defect is not Defect.NO_MAILBOX:
            self._mailbox(user, _MAILBOX_CHANGES.get(defect, {}) if defect else {})
        self._capacity(user, country, defect)
        self._status(key, signed_in=not disabled)
        return key

    def add_staff(self, country: Country) -> None:
        """Adds a user of the organisation who is no agent."""
        user = self._user(country)
        user["title"] = "Back office"
        self._mailbox(user, {})

    def _user(self, country: Country) -> Row:
        chance = self._random
        first, last = chance.choice(country.first_names), chance.choice(country.last_names)
        city = chance.choice(country.cities)
        address = f"{self._mail_name(first, last)}@contact-centre.example"
        self._added += 1
        user: Row = {
            "systemuserid": self._id(),
            "fullname": f"{first} {last}",
            "firstname": first,
            "lastname": last,
            "title": "Customer service representative",
            "domainname": address,
            "internalemailaddress": address,
            "mobilephone": f"{city.prefix}{self._added % 100:02d}",
            "address1_line1": _address(country, chance.randrange(1, 400), chance.choice(country.streets)),
            "address1_city": city.name,
            "address1_stateorprovince": city.region,
            "address1_postalcode": city.postal_code,
            "address1_country": country.name,
            "isdisabled": False,
            "accessmode": 0,
            "azureactivedirectoryobjectid": self._id(),
            "_businessunitid_value": self._shared.business_unit,
            "emailrouteraccessapproval": 1,
            "isemailaddressapprovedbyo365admin": True,
            "outgoingemaildeliverymethod": 2,
            "msdyn_usertype": 192350000,
            "createdon": CREATED_ON,
            "modifiedon": CREATED_ON,
        }
        self._tables["systemuser"].append(user)
        return user

    def _mail_name(self, first: str, last: str) -> str:
        name = mail_name(first, last)
        self._taken[name] = self._taken.get(name, 0) + 1
        return name if self._taken[name] == 1 else f"{name}{self._taken[name]}"

    def _mailbox(self, user: Row, changes: Row) -> None:
        key = self._id()
        user["_defaultmailbox_value"] = key
        self._tables["mailbox"].append(
            {
                "mailboxid": key,
                "name": user["fullname"],
                "emailaddress": user["internalemailaddress"],
                "_regardingobjectid_value": user["systemuserid"],
                "outgoingemaildeliverymethod": 2,
                "incomingemaildeliverymethod": 2,
                "outgoingemailstatus": 1,
                "incomingemailstatus": 1,
                "actstatus": 1,
                "mailboxstatus": 1,
                "enabledforoutgoingemail": True,
                "enabledforincomingemail": True,
                "enabledforact": True,
                "emailrouteraccessapproval": 1,
                "isemailaddressapprovedbyo365admin": True,
                "isforwardmailbox": False,
                "statecode": 0,
                "statuscode": 1,
                "createdon": CREATED_ON,
                "modifiedon": CREATED_ON,
                **changes,
            }
        )

    def _capacity(self, user: Row, country: Country, defect: Defect | None) -> None:
        """Bookable resource and its link to a capacity profile."""
        if defect is Defect.NO_RESOURCE:
            return
        resource = self._id()
        self._tables["bookableresource"].append(
            {
                "bookableresourceid": resource,
                "name": user["fullname"],
                "resourcetype": 3,
                "_userid_value": user["systemuserid"],
                **_state(active=defect is not Defect.INACTIVE_RESOURCE),
                "createdon": CREATED_ON,
                "modifiedon": CREATED_ON,
            }
        )
        if defect is Defect.NO_PROFILE_LINK:
            return
        self._tables["msdyn_bookableresourcecapacityprofile"].append(
            {
                "msdyn_bookableresourcecapacityprofileid": self._id(),
                "msdyn_name": "Voice outbound",
                "_msdyn_bookableresourceid_value": resource,
                "_msdyn_capacityprofileid_value": self._profiles.get(
                    country, defect if defect in _PROFILE_DEFECTS else None
                ),
                **_state(active=defect is not Defect.INACTIVE_PROFILE_LINK),
                "createdon": CREATED_ON,
                "modifiedon": CREATED_ON,
            }
        )

    def _status(self, user: str, *, signed_in: bool) -> None:
        self._tables["msdyn_agentstatus"].append(
            {
                "msdyn_agentstatusid": self._id(),
                "_msdyn_agentid_value": user,
                "_msdyn_currentpresenceid_value": self._random.choice(_PRESENCES) if signed_in else OFFLINE,
                "msdyn_isagentloggedin": signed_in,
                "msdyn_isblockedbysomeprofile": False,
                "msdyn_availableunitscapacity": 100,
                "msdyn_assignedconversationcount": 0,
                "msdyn_presencemodifiedby": "AGENT" if signed_in else "SYSTEM",
                "msdyn_presencemodifiedon": CREATED_ON,
                "msdyn_capacitymodifiedon": CREATED_ON,
                "statecode": 0,
                "statuscode": 1,
                "createdon": CREATED_ON,
                "modifiedon": CREATED_ON,
            }
        )

    def _own_number(self, country: Country, defect: Defect | None) -> str:
        """The id of the number that the agent calls from."""
        if defect is Defect.NOT_PURCHASED:
            return self._spare_number(country, {})
        if defect is Defect.INBOUND_ONLY:
            return self._spare_number(country, {}, acs="inbound")
        if defect in {Defect.ROUTE_CATCHES_EMERGENCY, Defect.THIRD_PARTY_CARRIER}:
            carrier = self._shared.third_party
            return self._spare_number(
                country, {"msdyn_ocphonenumbersource": DIRECT_ROUTING, "_msdyn_carrierid_value": carrier}
            )
        own = self._shared.own_numbers[country.iso]
        return own[self._added % len(own)]

    def _spare_number(self, country: Country, changes: Row, *, acs: str = "") -> str:
        """A further number, in ACS only if asked. In a large organisation such numbers are shared like the others."""
        kept = self._kept_spares.setdefault((country.iso, f"{changes} {acs}"), [])
        if len(kept) < _MOST_SPARES:
            key, number = self._id(), next(self._shared.numbers[country.iso])
            row = {**phone_row(key, number, country.iso, self._shared.microsoft), **changes}
            self._tables["msdyn_ocphonenumber"].append(row)
            kept.append(key)
            if acs:
                self._acs.append(acs_number(number, country, acs))
        return kept[self._added % len(kept)]


def _recipients(number: int, city: str) -> str:
    """Addresses separated by semicolons, as administrators write them: with and without blanks, with one at the end."""
    place = mail_name(city, "facilities").rstrip(".")
    forms = (
        f"security.handler@example.com; {place}@example.org",
        f"security.handler@example.com;{place}@example.org;",
        f"{place}@example.org",
        f"duty.manager@example.com; security.handler@example.com; {place}@example.org",
    )
    return forms[number % len(forms)]


def _address(country: Country, number: int, street: str) -> str:
    return f"{street} {number}" if country.iso == "DK" else f"{number} {street}"


def _state(*, active: bool) -> Row:
    return {"statecode": 0, "statuscode": 1} if active else {"statecode": 1, "statuscode": 2}
