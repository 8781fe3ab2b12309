"""Every code of a finding is known, explained, and really given."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from connector.directory import problems
from connector.prerequisites.codes import CODES, PREREQUISITES, prerequisite

ROOT = Path(__file__).parents[2]
CODE = re.compile(rf"(?:{'|'.join(PREREQUISITES)})\.[a-z_]+")


def codes_in_source() -> set[str]:
    """Every text in the checks that reads like a code."""
    found = set()
    for path in (ROOT / "connector/prerequisites").glob("*.py"):
        if path.name == "codes.py":
            continue
        tree = ast.parse(path.read_text())
        texts = [
            node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        found |= {text for text in texts if CODE.fullmatch(text)}
    return found


def documented() -> dict[str, str]:
    """By code: its section of the document."""
    text = (ROOT / "docs/prerequisites.md").read_text()
    parts = re.split(r"^### `([a-z_.]+)`.*$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_code_in_the_checks_is_known_and_every_known_one_is_given() -> None:
    assert codes_in_source() == set(CODES)
    assert len(CODES) == len(set(CODES))


def test_every_code_has_its_section_and_no_section_is_without_a_code() -> None:
    assert set(documented()) == set(CODES)


def test_every_section_says_what_it_means_how_it_is_seen_and_how_to_mend_it() -> None:
    for code, text in documented().items():
        for part in ("**Means.**", "**Determined by.**", "**Mend.**"):
            assert part in text, (code, part)
            assert len(text.split(part)[1].split("**")[0].split()) >= 3, (code, part)


def test_every_code_belongs_to_a_prerequisite_that_people_know() -> None:
    assert {prerequisite(code) for code in CODES} == set(PREREQUISITES)


def test_what_a_sync_may_meet_is_among_the_codes() -> None:
    met = {value for name, value in vars(problems).items() if name.isupper() and isinstance(value, str)}
    assert met == {code for code in CODES if prerequisite(code) == "sync"}
