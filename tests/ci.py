"""What only some machines have: a test that needs it is skipped elsewhere, but never in CI, where it fails instead."""

from __future__ import annotations

import os

import pytest


def needs(what: object, reason: str) -> pytest.MarkDecorator:
    """Skips where `what` is not there, `reason` saying what to install."""
    return pytest.mark.skipif(not what and os.environ.get("CI") != "true", reason=reason)
