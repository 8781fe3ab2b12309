"""`emergency-connector validate`: tells for which agents an emergency call would not work, why, and what to do."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console

from connector import settings
from connector.assembly import Connector
from connector.errors import AlreadyRunning, BadData, ServiceRejected, SettingsError
from connector.mappings import Mappings
from connector.prerequisites.codes import CODES, PREREQUISITES
from connector.prerequisites.facts import ValidationContext
from connector.prerequisites.findings import Severity
from connector.prerequisites.load import webhooks
from connector.prerequisites.load.organisation import validation_context
from connector.prerequisites.report import Selection, Validation
from connector.prerequisites.report import validate as validation
from connector.prerequisites.summary import Summary
from connector.reports import as_csv, as_html, as_json, as_junit, as_table


class Format(StrEnum):
    """How the result is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    JUNIT = "junit"
    HTML = "html"


def validate(
    agent: Annotated[
        list[str] | None, typer.Option(help="Only this one: id, e-mail address or name; repeatable")
    ] = None,
    country: Annotated[
        list[str] | None, typer.Option(help="Only agents of this country, such as GB; repeatable")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help="Only this code, or all before its dot; repeatable", metavar="CODE")
    ] = None,
    format: Annotated[  # noqa: A002 (the option's name)
        Format, typer.Option(help="table for people, the others for programs and reports")
    ] = Format.TABLE,
    output: Annotated[
        Path | None, typer.Option(help="Write into this file instead of standard output", allow_dash=True)
    ] = None,
    fail_on: Annotated[Severity, typer.Option(help="From which severity on the exit code is 1")] = Severity.ERROR,
    fresh: Annotated[bool, typer.Option("--fresh", help="Sync first, and look up the webhook in Dataverse")] = False,
) -> None:
    """Checks the prerequisites of every agent, as last synced. docs/prerequisites.md explains each code.

    Exit codes: 0 nothing as bad as --fail-on was found, 1 something was, 2 could not check. With --only they are about
    what was asked for; who is ready is told by everything.
    """
    if format is not Format.TABLE and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # which the reports say they are in, whatever the terminal has
    with Connector(settings.load()) as connector:
        wanted = _selection(connector.mappings, agent or [], country or [], only or [])
        if fresh:
            _sync(connector)
        now, file = connector.clock.now(), None if output == Path("-") else output
        webhook = webhooks.read(connector.dataverse, connector.mappings, now) if fresh else None
        context = validation_context(connector.settings, connector.store, now, webhook)
        with validation(connector.directory_store, connector.mappings, context, wanted) as run, _opened(file) as to:
            summary = _write(_known(run), format, to, context, connector.mappings)
    if file:
        typer.echo(f"{summary.headline} Written to {output}", err=True)
    if summary.fails(fail_on):
        raise typer.Exit(1)


def _sync(connector: Connector) -> None:
    try:
        connector.sync()
    except AlreadyRunning:
        typer.echo("another sync is running: validating what it has stored so far", err=True)
    except (ServiceRejected, BadData) as error:
        # One table's trouble: the others are fresh, and the report tells of it.
        typer.echo(f"not everything could be synced: {error}", err=True)


def _selection(mappings: Mappings, agents: list[str], countries: list[str], codes: list[str]) -> Selection:
    """What was asked for. Raises BadParameter for a country or code that does not exist."""
    found = []
    for text in countries:
        known = mappings.country(text)
        if known is None:
            choices = ", ".join(mappings.countries)
            raise typer.BadParameter(f"{text} is no supported country: {choices}", param_hint="--country")
        found.append(known.code)
    for code in codes:
        if code not in CODES and code not in PREREQUISITES:
            raise typer.BadParameter(f"{code} is no code: docs/prerequisites.md lists them", param_hint="--only")
    return Selection(tuple(agents), tuple(found), tuple(codes))


def _known(run: Validation) -> Validation:
    """The validation, once it is sure that it has the agents asked for. Raises otherwise, before anything is written.

    Who mistypes a name must not take a report without it for a good one.
    """
    if run.unknown_agents:
        told = f"the directory knows no such agent: {', '.join(run.unknown_agents)}"
        raise typer.BadParameter(f"{told}; correct it, or run `emergency-connector sync` first", param_hint="--agent")
    first = next(run.agents, None)
    if first is None:
        asked = run.wanted.agents or run.wanted.countries
        told = "the directory knows no such agent" if asked else "the directory knows no agents"
        raise BadData(f"{told}: run `emergency-connector sync` first{', or correct the filter' if asked else ''}")
    return replace(run, agents=chain([first], run.agents))


def _write(run: Validation, kind: Format, to: TextIO, context: ValidationContext, mappings: Mappings) -> Summary:
    match kind:
        case Format.TABLE:
            # Colours only for a terminal; in a file the width is one's own choice.
            return as_table.write(run, Console(file=to, width=160 if to is not sys.stdout else None))
        case Format.JSON:
            return as_json.write(run, to)
        case Format.CSV:
            return as_csv.write(run, to)
        case Format.JUNIT:
            return as_junit.write(run, to)
        case Format.HTML:
            names = {code: country.names[0] for code, country in mappings.countries.items()}
            return as_html.write(run, to, at=context.now, countries=names)


@contextmanager
def _opened(output: Path | None) -> Iterator[TextIO]:
    """Standard output, or a file that appears under its name only when it is whole, readable by its owner alone.

    Raises SettingsError where it cannot be written.
    """
    if output is None:
        yield sys.stdout
        return
    # A device, or a link to what is elsewhere, must not be replaced by a file.
    in_place = output.is_symlink() or (output.exists() and not output.is_file())
    try:
        with output.open("w", encoding="utf-8", newline="") if in_place else _replacing(output) as to:
            yield to
    except OSError as error:
        raise SettingsError(f"--output cannot be written ({error.strerror}): choose another file") from None


@contextmanager
def _replacing(output: Path) -> Iterator[TextIO]:
    handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)
