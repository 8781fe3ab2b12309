"""The location check: an agent's browser reports whether it may tell its location, and in which country it is.

Coordinates are turned into a country at once and thrown away: they are in no answer, no log, no error and no store.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from connector.assembly import Connector
from connector.prerequisites.facts import Accuracy, Permission
from connector.prerequisites.load.geography import country_at
from connector.prerequisites.load.location_checks import accuracy_class, store_check
from connector.service.access import authenticate, read_body


class LocationCheckReport(BaseModel):
    """What the browser says. Give coordinates, or the country where it is known otherwise."""

    model_config = ConfigDict(extra="forbid")

    permission: Permission = Field(description="State of the permission `geolocation`, by the Permissions API")
    latitude: float | None = Field(None, ge=-90, le=90)
    longitude: float | None = Field(None, ge=-180, le=180)
    accuracy_metres: float | None = Field(None, ge=0, allow_inf_nan=False)
    country: str | None = Field(None, max_length=80, description="Code (ISO 3166-1) or name; instead of coordinates")


class LocationCheckAnswer(BaseModel):
    """What was kept. `supported`: emergency calls can be made in that country; null where it is not known."""

    permission: Permission
    accuracy: Accuracy
    country: str | None
    supported: bool | None
    valid_until: datetime


_BODY = {"content": {"application/json": {"schema": LocationCheckReport.model_json_schema()}}, "required": True}


def location_router(connector: Connector) -> APIRouter:
    """The endpoint of the location check."""
    router = APIRouter()

    @router.post("/api/v1/agents/{agent_id}/location-check", tags=["agents"], openapi_extra={"requestBody": _BODY})
    async def check_location(request: Request, agent_id: str) -> LocationCheckAnswer:
        """Keeps when it was checked, permission, accuracy class and country; never the coordinates."""
        authenticate(request, connector.settings)
        report = _read(await read_body(request, connector.settings.max_body_bytes))
        return await run_in_threadpool(_keep, connector, agent_id.lower(), report)

    return router


def _read(body: bytes) -> LocationCheckReport:
    """The report. Raises 422 saying what is wrong, without quoting it: that could be where somebody is."""
    try:
        return LocationCheckReport.model_validate_json(body)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(422, [{"loc": e["loc"], "msg": e["msg"], "type": e["type"]} for e in wrong]) from None


def _keep(connector: Connector, agent_id: str, report: LocationCheckReport) -> LocationCheckAnswer:
    if connector.directory.agent(agent_id) is None:
        raise HTTPException(404, "no such agent in the directory")
    granted = report.permission == "granted"
    country = _country(connector, report) if granted else None
    accuracy = accuracy_class(report.accuracy_metres) if granted else "unknown"
    now = connector.clock.now()
    store_check(connector.directory_store, agent_id, now, report.permission, accuracy, country)
    return LocationCheckAnswer(
        permission=report.permission,
        accuracy=accuracy,
        country=country,
        supported=None if country is None else connector.mappings.country(country) is not None,
        valid_until=now + timedelta(days=connector.settings.location_check_days),
    )


def _country(connector: Connector, report: LocationCheckReport) -> str | None:
    """The code of the country reported. Raises 422 where only half of the coordinates, or no known code, is given."""
    if (report.latitude is None) != (report.longitude is None):
        raise HTTPException(422, "give both latitude and longitude, or neither")
    if report.latitude is not None and report.longitude is not None:
        return country_at(report.latitude, report.longitude)
    told = (report.country or "").strip()
    known = connector.mappings.country(told)
    if known or not told:
        return known.code if known else None
    if len(told) == 2 and told.isascii() and told.isalpha():
        return told.upper()
    raise HTTPException(422, "country: give its code (ISO 3166-1 alpha-2)")
