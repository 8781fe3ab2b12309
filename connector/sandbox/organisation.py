"""The seeded organisation: agents in five countries with all that their emergency calls depend on.

Deterministic: the same seed gives the same rows, ids included. About four agents in five are ready; every kind of
broken prerequisite occurs once there are 60 agents or more.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from connector.sandbox import platform_rows
from connector.sandbox.agents import AgentRows, Defect, Shared
from connector.sandbox.names import BY_ISO, COUNTRIES, Country
from connector.sandbox.platform_rows import CREATED_ON
from connector.sandbox.telephony import acs_number, direct_routing, phone_row

Row = dict[str, Any]

CALLBACK_NUMBERS = 6
"""Numbers per country that belong to the ACS resource and to nobody in Dataverse."""
_NUMBERS_PER_COUNTRY = 100
_SHARE_BROKEN = 5
_ALL_DEFECTS_FROM = 60


@dataclass
class Organisation:
    """Everything the stand-ins serve. `tables` holds rows by logical name, as they travel (lookups as `_x_value`)."""

    organization_id: str
    name: str
    domain: str
    business_unit_id: str
    engine_user_id: str
    """The platform's own user, which writes presences."""
    application_user_id: str
    """The application user that every client acts as, unless it has one of its own."""
    tables: dict[str, list[Row]]
    acs_numbers: list[Row]
    sip: Row
    email_sender: str
    agent_ids: list[str] = field(default_factory=list)
    defects: dict[str, Defect] = field(default_factory=dict)
    """What is wrong with an agent, by systemuserid; who is not in it is ready."""

    @classmethod
    def seed(cls, agents: int = 200, seed: int = 911) -> Self:
        """An organisation with so many agents, plus users who are none."""
        return cls(**_Seeding(agents, seed).run())


class _Seeding:
    """The state of one seeding."""

    def __init__(self, agents: int, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - made-up people, no secrets
        self._agents = agents
        self._tables: dict[str, list[Row]] = {}
        self._numbers = {country.iso: country.numbers() for country in COUNTRIES}
        self._acs: list[Row] = []

    def run(self) -> dict[str, Any]:
        """The constructor's arguments."""
        organisation, unit = self._id(), self._id()
        self._base(organisation, unit)
        engine = self._application_user("# Omnichannel Assignment Engine", unit)
        application = self._application_user("# Emergency Connector", unit)
        shared = self._shared(unit)
        rows = AgentRows(shared, self._id, self._random, self._tables, self._acs)
        agent_ids, defects = self._people(rows)
        self._others(rows)
        self._acs += list(self._callback_pool())
        return {
            "organization_id": organisation,
            "name": self._tables["organization"][0]["name"],
            "domain": "contactcentre.crm.example",
            "business_unit_id": unit,
            "engine_user_id": engine,
            "application_user_id": application,
            "tables": self._tables,
            "acs_numbers": self._acs,
            "sip": direct_routing(),
            "email_sender": "DoNotReply@notify.example.com",
            "agent_ids": agent_ids,
            "defects": defects,
        }

    def _base(self, organisation: str, unit: str) -> None:
        tables = self._tables
        tables["organization"] = [
            {
                "organizationid": organisation,
                "name": f"unq{organisation.replace('-', '')[:29]}",
                "expirechangetrackingindays": 7,
                "languagecode": 1033,
            }
        ]
        tables["businessunit"] = [{"businessunitid": unit, "name": "Contact Centre"}]
        tables["role"] = platform_rows.roles(self._id, unit)
        tables["msdyn_presence"] = platform_rows.presences()
        tables["sdkmessage"], tables["sdkmessagefilter"] = platform_rows.messages(self._id)
        apis, parameters, published = platform_rows.custom_apis(self._id)
        tables["customapi"], tables["customapirequestparameter"] = apis, parameters
        tables["sdkmessage"] += published
        tables["template"] = platform_rows.templates(self._id)
        tables["msdyn_occarrier"] = [
            {"msdyn_occarrierid": self._id(), "msdyn_name": name, "statecode": 0, "statuscode": 1}
            for name in ("Microsoft", "Fjordtel")
        ]
        for name in (
            "systemuser",
            "systemuserroles",
            "mailbox",
            "bookableresource",
            "msdyn_agentstatus",
            "msdyn_bookableresourcecapacityprofile",
            "msdyn_ocphonenumber",
        ):
            tables[name] = []

    def _application_user(self, name: str, unit: str) -> str:
        key = self._id()
        self._tables["systemuser"].append(
            {
                "systemuserid": key,
                "fullname": name,
                "domainname": f"{key}@contact-centre.example",
                "applicationid": self._id(),
                "azureactivedirectoryobjectid": self._id(),
                "accessmode": 4,
                "isdisabled": False,
                "_businessunitid_value": unit,
                "createdon": CREATED_ON,
                "modifiedon": CREATED_ON,
            }
        )
        return key

    def _shared(self, unit: str) -> Shared:
        """Roles, carriers, and per country the telephone numbers, for all agents together."""
        microsoft, third_party = (row["msdyn_occarrierid"] for row in self._tables["msdyn_occarrier"])
        shared = Shared(unit, self._tables["role"][0]["roleid"], microsoft, third_party, self._numbers)
        for country in COUNTRIES:
            wanted = min(_NUMBERS_PER_COUNTRY, max(2, self._agents * country.weight // 100))
            shared.own_numbers[country.iso] = [self._phone_number(country, microsoft) for _ in range(wanted)]
        return shared

    def _phone_number(self, country: Country, carrier: str) -> str:
        number, key = next(self._numbers[country.iso]), self._id()
        self._tables["msdyn_ocphonenumber"].append(phone_row(key, number, country.iso, carrier))
        self._acs.append(acs_number(number, country))
        return key

    def _people(self, rows: AgentRows) -> tuple[list[str], dict[str, Defect]]:
        """The agents; the broken ones are spread evenly among the ready ones."""
        broken = dict(self._broken())
        countries = [country for country in COUNTRIES for _ in range(country.weight)]
        ids: list[str] = []
        defects: dict[str, Defect] = {}
        for index in range(self._agents):
            defect = broken.get(index)
            country = _home(defect) or self._random.choice(countries)
            key = rows.add(country, defect)
            ids.append(key)
            if defect is not None:
                defects[key] = defect
        return ids, defects

    def _broken(self) -> Iterator[tuple[int, Defect]]:
        kinds = list(Defect)
        wanted = self._agents // _SHARE_BROKEN
        if self._agents >= _ALL_DEFECTS_FROM:
            wanted = max(wanted, len(kinds))
        repeated = [kind for kind in kinds if kind is not Defect.UNSUPPORTED_COUNTRY]
        for number in range(wanted):
            kind = kinds[number] if number < len(kinds) else repeated[number % len(repeated)]
            yield number * self._agents // wanted, kind

    def _others(self, rows: AgentRows) -> None:
        """Users whom the connector must not count: disabled agents, staff without the agent role."""
        some = max(2, self._agents // 50)
        for number in range(some):
            rows.add(COUNTRIES[number % len(COUNTRIES)], None, disabled=True)
            rows.add_staff(COUNTRIES[number % len(COUNTRIES)])

    def _callback_pool(self) -> Iterator[Row]:
        for country in COUNTRIES:
            for _ in range(CALLBACK_NUMBERS):
                yield acs_number(next(self._numbers[country.iso]), country)

    def _id(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def _home(defect: Defect | None) -> Country | None:
    """The country of agents whose defect needs a certain one."""
    if defect is Defect.ROUTE_CATCHES_EMERGENCY:
        return BY_ISO["DK"]
    if defect is Defect.THIRD_PARTY_CARRIER:
        return BY_ISO["US"]
    return None
