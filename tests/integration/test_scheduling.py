"""The recipes of docs/scheduling.md do what they say, as far as it can be seen without the schedulers themselves."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cronsim import CronSim

from connector.settings import Settings
from tests.ci import needs
from tests.conftest import START
from tests.integration.test_command import ROOT, environment, run

__all__ = ["environment"]
pytestmark = pytest.mark.slow
TEXT = (ROOT / "docs" / "scheduling.md").read_text()
PROGRAM = str(Path(sys.executable).with_name("emergency-connector"))
FOUND = 1
"""The exit code for the seeded organisation, where something is wrong with somebody."""


def recipe(title: str) -> list[str]:
    """The indented blocks below a heading."""
    _, _, section = TEXT.partition(f"## {title}\n")
    section, _, _ = section.partition("\n## ")
    blocks = re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.MULTILINE)
    return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE).strip() + "\n" for block in blocks if block.strip()]


@pytest.fixture(scope="module")
def synced(environment: dict[str, str]) -> dict[str, str]:
    ended = run(environment, "sync")
    assert ended.returncode == 0, ended.stderr
    return environment


@pytest.fixture
def own(synced: dict[str, str]) -> dict[str, str]:
    """The settings alone, as a scheduler's file would hold them."""
    return {name: value for name, value in synced.items() if name.startswith("EMERGENCY_")}


def outside(environment: dict[str, str]) -> dict[str, str]:
    """What a scheduler hands to its commands: next to nothing, and no setting."""
    return {"PATH": "/usr/bin:/bin", "HOME": environment.get("HOME", "/")}


def moved(command: str, folder: Path) -> str:
    """A command of the document, with what the document installs where this test has it."""
    places = {
        "/opt/emergency-connector/bin/emergency-connector": PROGRAM,
        "/etc/emergency-connector.env": str(folder / "settings.env"),
        "/etc/emergency-connector/settings": str(folder / "settings"),
        "/var/lib/emergency-connector": str(folder),
    }
    for there, here in places.items():
        command = command.replace(there, here)
    return command


def test_cron_says_nothing_but_that_something_is_wrong(own: dict[str, str], tmp_path: Path) -> None:
    (line,) = [line for line in recipe("cron")[0].splitlines() if not line.startswith("#")]
    schedule, command = " ".join(line.split()[:5]), line.split(maxsplit=5)[5]
    assert next(CronSim(schedule, START)).hour == 6
    assert "%" not in command, "cron would end the command there"
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in own.items())
    (tmp_path / "settings.env").write_text("".join(lines))
    ended = subprocess.run(
        ["/bin/sh", "-c", moved(command, tmp_path)],
        env=outside(own), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == (f"validation ended with {FOUND}\n", "")
    report = tmp_path / "report.html"
    assert report.read_text().endswith("</html>\n")
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def unit(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # documented; keys of units have capitals
    parser.read_string(text)
    return parser


def test_the_systemd_service_runs(own: dict[str, str], tmp_path: Path) -> None:
    service = unit(moved(recipe("systemd")[0], tmp_path))["Service"]
    settings = Path(service["EnvironmentFile"])
    settings.write_text("".join(f"{name}={value}\n" for name, value in own.items()))
    read = dict(line.split("=", 1) for line in settings.read_text().splitlines())
    ended = subprocess.run(
        shlex.split(service["ExecStart"]),
        env=outside(own) | read, cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == FOUND, ended.stderr
    assert (tmp_path / "report.html").exists()


@needs(shutil.which("systemd-analyze"), "there is no systemd here")
def test_the_systemd_units_are_well_formed(tmp_path: Path) -> None:
    service, timer, *_ = recipe("systemd")
    # The user of the document does not exist here.
    (tmp_path / "emergency-validate.service").write_text(
        moved(service, tmp_path).replace("User=emergency", "User=root")
    )
    (tmp_path / "emergency-validate.timer").write_text(timer)
    ended = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "emergency-validate.timer")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    told = [line for line in ended.stderr.splitlines() if "emergency-validate" in line]
    assert (ended.returncode, told) == (0, [])


def container(title: str, *path: str) -> tuple[dict[str, Any], Any]:
    """The whole recipe, and its container at a path of it."""
    whole = yaml.safe_load(next(block for block in recipe(title) if block.startswith(("apiVersion:", "location:"))))
    part = whole
    for name in path:
        part = part[name]
    return whole, part["containers"][0]


def runs_in_a_container(own: dict[str, str], command: list[str], tmp_path: Path) -> None:
    assert command[0] == "emergency-connector"
    ended = subprocess.run(
        [PROGRAM, *command[1:]],
        env=outside(own) | own, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == FOUND, ended.stderr
    assert json.loads(ended.stdout)["agents"] > 0


def test_the_kubernetes_job_runs_and_does_not_try_findings_again(own: dict[str, str], tmp_path: Path) -> None:
    whole, found = container("Kubernetes", "spec", "jobTemplate", "spec", "template", "spec")
    assert next(CronSim(whole["spec"]["schedule"], START)).hour == 6
    job = whole["spec"]["jobTemplate"]["spec"]
    assert job["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy is for such pods only"
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule == {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [FOUND]}}
    runs_in_a_container(own, found["command"], tmp_path)


def test_the_container_apps_job_runs_with_settings_that_exist(own: dict[str, str], tmp_path: Path) -> None:
    whole, found = container("Azure Container Apps job", "properties", "template")
    configuration = whole["properties"]["configuration"]
    assert next(CronSim(configuration["scheduleTriggerConfig"]["cronExpression"], START)).hour == 6
    secrets = {secret["name"] for secret in configuration["secrets"]}
    for variable in found["env"]:
        assert variable["name"].removeprefix("EMERGENCY_").lower() in Settings.model_fields
        assert variable.get("secretRef") in {None, *secrets}
    runs_in_a_container(own, [*found["command"], *found["args"]], tmp_path)


def test_the_script_for_the_task_scheduler_takes_its_options(synced: dict[str, str], tmp_path: Path) -> None:
    line = next(line for line in recipe("Windows Task Scheduler")[0].splitlines() if "python.exe" in line)
    _, script, *options = line.split()
    assert script.endswith(r"\validate_prerequisites.py")
    options[options.index("--output") + 1] = str(tmp_path / "report.html")
    ended = run(synced, *options, script="validate_prerequisites.py")
    assert ended.returncode == FOUND, ended.stderr
    assert (tmp_path / "report.html").exists()
