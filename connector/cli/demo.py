"""`emergency-connector demo`: one emergency call from dial to forgotten, against the local stand-ins."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding

from connector.cli.signals import ended_by_signals, wait_for_the_end
from connector.errors import SettingsError

if TYPE_CHECKING:  # at run time only where the extra [sandbox] is installed
    from connector.demo.environment import Stage
    from connector.demo.steps import Play, Step


def demo(
    agents: Annotated[int, typer.Option(min=60, max=100_000, help="People in the seeded organisation")] = 200,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the service; 0 takes a free one")] = 0,
    leave: Annotated[bool, typer.Option("--exit", help="End by itself when the call is over")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on standard output")] = False,
) -> None:
    """Plays one emergency call and shows evidence for each of its eight steps.

    Exit codes: 0 all eight were right and nothing is left behind, 1 not.
    """
    try:
        from connector.demo.environment import set_up  # noqa: PLC0415 (an optional extra)
        from connector.demo.steps import Play  # noqa: PLC0415 (an optional extra)
    except ImportError as error:
        raise SettingsError(f"install the extra [sandbox]: {error.name} is missing") from None
    console = Console(stderr=as_json, highlight=False)

    def say(text: str) -> None:
        console.print(f"[dim]{escape(text)}[/dim]")

    with ended_by_signals(), set_up(agents, port, say) as stage:
        caller = stage.caller()
        console.print(f"\n[bold]{escape(caller.name)}[/bold] dials [bold red]911[/bold red].")
        console.print("The eight steps, in the order in which they happen:\n")
        play = Play(stage, lambda step: _tell(console, step), caller)
        play.run()
        right = all(step.ok for step in play.steps) and play.left_behind == 0
        _sum_up(console, play, right=right)
        if as_json:
            typer.echo(json.dumps(_result(stage, play)))
        if not leave:
            _stay(console, stage)
    if not right:
        raise typer.Exit(1)


def _tell(console: Console, step: Step) -> None:
    mark = "[green]✔[/green]" if step.ok else "[red]✘[/red]"
    console.print(f"{mark} [bold]{step.number}[/bold]  {step.name}  [cyan]{step.milliseconds:.1f} ms[/cyan]")
    console.print(Padding(f"[dim]{escape(step.evidence)}[/dim]", (0, 0, 0, 5)))


def _sum_up(console: Console, play: Play, *, right: bool) -> None:
    if right:
        console.print(
            f"\n[green]All eight steps done.[/green] From dial to the message accepted: "
            f"{play.dial_to_accepted_ms:.0f} ms. Left behind: nothing."
        )
    else:
        console.print("\n[red]Something went wrong:[/red] see the steps marked ✘.")


def _result(stage: Stage, play: Play) -> dict[str, Any]:
    ready = sum(report.ready for report in stage.reports)
    mails = stage.sandbox.acs.outbox
    return {
        "agents": len(stage.reports),
        "ready": ready,
        "not_ready": len(stage.reports) - ready,
        "steps": [asdict(step) for step in sorted(play.steps, key=lambda step: step.number)],
        "recipients": len(play.agent.recipients),
        "accepted": len(mails),
        "dial_to_accepted_ms": round(play.dial_to_accepted_ms, 1),
        "callback_number": play.callback_number,
        "left_behind": play.left_behind,
    }


def _stay(console: Console, stage: Stage) -> None:
    stage.connector.sync()  # since its clock is ahead now, the directory would look old
    body = json.dumps({"agent_id": stage.caller().id, "dialled": "911", "call_key": "mine", "location": "Room 1"})
    secret, calls = f"-H '{_header(stage)}'", f"{stage.url}/api/v1/calls"
    info = stage.sandbox.info
    console.print("\nThe service stays up, its clock 61 minutes ahead; Ctrl-C ends it. In another terminal:\n")
    for what, line in (
        ("dial", f"curl -s {secret} -d '{body}' {calls}"),
        ("see the panel", f"curl -s {secret} {calls}/CALL_ID/panel"),
        ("hang up", f"curl -s {secret} -X POST {calls}/CALL_ID/end"),
        ("is it well?", f"curl -s {stage.url}/readyz"),
        ("what was counted", f"curl -s {stage.url}/metrics"),
        ("the API's contract", f"curl -s {stage.url}/openapi.json"),
        (
            "mails that ACS has",
            f"curl -s --cacert {info.ca_file} -H 'x-sandbox-key: {info.control_key}' "
            f"{info.control_url}/mails | python3 -m json.tool",
        ),
    ):
        console.print(f"# {what}\n{line}", soft_wrap=True, markup=False)
    wait_for_the_end()
    console.print("\nEnded; nothing is kept.")


def _header(stage: Stage) -> str:
    return next(f"{name}: {value}" for name, value in stage.headers.items())
