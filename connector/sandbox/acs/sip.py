"""SIP routing: one resource, `/sip` (SipRouting contract 2023-03-01).

A patch merges the trunks (null deletes one) and replaces the whole list of routes. There is no ETag: of two writers the
later wins. Patterns are .NET regular expressions, so they are kept as they are and never compiled here.
"""

from __future__ import annotations

import copy
from typing import Any

from starlette.responses import JSONResponse, Response

from connector.sandbox.acs.options import AcsOptions
from connector.sandbox.acs.responses import Call, ServiceError

MOST = 250  # trunks, routes, and trunks of a route
LONGEST = {"name": 256, "numberPattern": 1024, "description": 1024}
LONGEST_FQDN = 249
MERGE_PATCH = "application/merge-patch+json"


class Sip:
    """The configuration and its two handlers."""

    def __init__(self, options: AcsOptions, configuration: dict[str, Any]) -> None:
        self._options = options
        self.configuration = copy.deepcopy(configuration)

    def get(self, call: Call) -> Response:
        """The whole configuration."""
        del call  # reading takes no parameters
        return JSONResponse(self.configuration)

    def patch(self, call: Call) -> Response:
        """Changes the configuration as a whole or not at all, and answers all of it."""
        if call.headers.get("content-type", "").partition(";")[0].strip() != MERGE_PATCH:
            raise ServiceError(415, "UnsupportedMediaType", f"The content type must be {MERGE_PATCH}.")
        change = call.json()
        trunks = dict(self.configuration["trunks"])
        for fqdn, trunk in (change.get("trunks") or {}).items():
            if trunk is None:
                trunks.pop(fqdn, None)
            else:
                trunks[fqdn] = {**trunks.get(fqdn, {}), **trunk}
        routes = change["routes"] if change.get("routes") is not None else self.configuration["routes"]
        self._check_trunks(trunks)
        self._check_routes(routes, trunks)
        self.configuration = {"trunks": trunks, "routes": routes}
        return JSONResponse(self.configuration)

    def _check_trunks(self, trunks: dict[str, Any]) -> None:
        if len(trunks) > MOST:
            raise _invalid(f"There are more than {MOST} trunks.", "trunks")
        for fqdn, trunk in trunks.items():
            if not 1 <= len(fqdn) <= LONGEST_FQDN:
                raise _invalid(f"A trunk's name has 1 to {LONGEST_FQDN} characters.", "trunks")
            port = trunk.get("sipSignalingPort")
            if not isinstance(port, int) or not 1 <= port <= 65535:
                raise _invalid("sipSignalingPort must be a port.", "sipSignalingPort")

    def _check_routes(self, routes: Any, trunks: dict[str, Any]) -> None:
        if not isinstance(routes, list) or len(routes) > MOST:
            raise _invalid(f"routes must be a list of at most {MOST}.", "routes")
        for route in routes:
            _check_route(route)
            if missing := [fqdn for fqdn in route.get("trunks") or [] if fqdn not in trunks]:
                raise ServiceError(
                    self._options.sip_conflict_status,
                    "UnprocessableConfiguration",
                    f"Route {route['name']} names trunks that do not exist: {', '.join(missing)}.",
                    target="routes",
                )


def _check_route(route: Any) -> None:
    if not isinstance(route, dict) or not route.get("name") or not route.get("numberPattern"):
        raise _invalid("A route needs a name and a numberPattern.", "routes")
    for field, longest in LONGEST.items():
        if len(route.get(field) or "") > longest:
            raise _invalid(f"{field} is longer than {longest} characters.", field)
    if len(route.get("trunks") or []) > MOST:
        raise _invalid(f"A route has at most {MOST} trunks.", "trunks")


def _invalid(message: str, target: str) -> ServiceError:
    return ServiceError(400, "InvalidInput", message, target=target)
