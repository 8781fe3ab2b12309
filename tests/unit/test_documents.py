"""The documents say what the code does now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.settings import STEPS, Settings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_every_setting_is_documented_and_no_other() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    named = set(re.findall(r"^\| `EMERGENCY_(\w+)`", text, re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_documented_defaults_are_those_of_the_code() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float) and not isinstance(field.default, bool):
            row = next(line for line in text.splitlines() if line.startswith(f"| `EMERGENCY_{name.upper()}`"))
            assert f"`{field.default:g}`" in row or f"`{field.default}`" in row, name


def test_every_step_that_can_be_left_out_is_documented() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    assert all(f"`{step}`" in text for step in STEPS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text())
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_tests_and_modules_named_in_the_architecture_exist() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    for name in re.findall(r"`(tests/[\w/]+\.py)`", text):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"^ +((?:\w+/)?\w+\.py)\b", text, re.MULTILINE):
        assert (ROOT / "connector" / name).exists(), name
