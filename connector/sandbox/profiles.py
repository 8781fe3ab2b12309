"""Capacity profiles and what makes them voice outbound profiles: workstream, voice channel, number.

`systemuser` → resource → capacity profile ← link → outbound voice workstream ← channel → number is the path by which
the first prerequisite of emergency calls can be checked. [third-party code; inferred]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from connector.sandbox.names import Country

Row = dict[str, Any]

INBOUND, OUTBOUND = 0, 1
LIVE_CHAT, VOICE_CALL = 192360000, 192440000


class Profiles:
    """Makes each profile once: a good one per country, and one for each way in which the chain can be broken."""

    def __init__(
        self,
        new_id: Callable[[], str],
        tables: dict[str, list[Row]],
        numbers: Mapping[str, str],
        spare_number: Callable[[Country, Row], str],
    ) -> None:
        self._id = new_id
        self._tables = tables
        self._numbers = numbers
        self._spare_number = spare_number
        self._made: dict[tuple[str, str], str] = {}
        for name in (
            "msdyn_capacityprofile",
            "msdyn_liveworkstream",
            "msdyn_liveworkstreamcapacityprofile",
            "msdyn_ocvoicechannelsetting",
        ):
            tables.setdefault(name, [])
        # Every agent set-up has inbound profiles beside the outbound ones.
        self._profile("Default voice inbound", inactive=False)

    def get(self, country: Country, defect: StrEnum | None) -> str:
        """The id of a country's profile, broken as asked."""
        kind = defect.name if defect else ""
        if (country.iso, kind) not in self._made:
            self._made[country.iso, kind] = self._chain(country, kind)
        return self._made[country.iso, kind]

    def _chain(self, country: Country, kind: str) -> str:
        label = f"Voice outbound {country.name}" + (f" ({kind.replace('_', ' ').lower()})" if kind else "")
        profile = self._profile(label, inactive=kind == "INACTIVE_PROFILE")
        if kind == "NO_WORKSTREAM":
            return profile
        workstream = self._workstream(label, kind)
        self._add(
            "msdyn_liveworkstreamcapacityprofile",
            {
                "msdyn_name": label,
                "_msdyn_workstream_id_value": workstream,
                "_msdyn_capacityprofile_id_value": profile,
                **_state(inactive=False),
            },
        )
        if kind != "NO_CHANNEL":
            self._channel(label, workstream, self._channel_number(country, kind))
        return profile

    def _profile(self, label: str, *, inactive: bool) -> str:
        return self._add(
            "msdyn_capacityprofile",
            {
                "msdyn_name": label,
                "msdyn_uniquename": "ec_" + "".join(letter if letter.isalnum() else "_" for letter in label.lower()),
                "msdyn_defaultmaxunits": 1,
                "msdyn_blockassignment": True,
                "msdyn_resetduration": 192350000,
                **_state(inactive=inactive),
            },
        )

    def _workstream(self, label: str, kind: str) -> str:
        return self._add(
            "msdyn_liveworkstream",
            {
                "msdyn_name": label,
                "msdyn_direction": INBOUND if kind == "INBOUND_WORKSTREAM" else OUTBOUND,
                "msdyn_streamsource": LIVE_CHAT if kind == "NOT_VOICE" else VOICE_CALL,
                "msdyn_mode": 717210001,
                "msdyn_enablevoicev2": True,
                "msdyn_capacityformat": 192360000,
                **_state(inactive=kind == "INACTIVE_WORKSTREAM"),
            },
        )

    def _channel_number(self, country: Country, kind: str) -> str | None:
        if kind == "NO_CHANNEL_NUMBER":
            return None
        if kind == "CHANNEL_NUMBER_NOT_OUTBOUND":
            return self._spare_number(country, {"msdyn_phoneoutboundenabled": False})
        return self._numbers[country.iso]

    def _channel(self, label: str, workstream: str, number: str | None) -> None:
        values = {
            "msdyn_name": label,
            "_msdyn_liveworkstreamid_value": workstream,
            "msdyn_isanonymouscallerid": False,
            "msdyn_recordingenabled": False,
            "msdyn_transcriptionenabled": False,
            # Sent as texts by the service, although they are choices. [third-party code]
            "msdyn_recordingmode": "192351000",
            "msdyn_transcriptionmode": "192351000",
            **_state(inactive=False),
        }
        if number is not None:
            values |= {"_msdyn_phonenumberid_value": number, "_msdyn_calleridphonenumberid_value": number}
        self._add("msdyn_ocvoicechannelsetting", values)

    def _add(self, table: str, values: Row) -> str:
        key = self._id()
        self._tables[table].append({f"{table}id": key, **values})
        return key


def _state(*, inactive: bool) -> Row:
    return {"statecode": 1, "statuscode": 2} if inactive else {"statecode": 0, "statuscode": 1}
