#!/usr/bin/env python3
"""Checks the prerequisites of every agent; for schedulers that call a file.

The same as `emergency-connector validate`; --help tells its options. Exit codes: 0 nothing as bad as --fail-on was
found, 1 something was, 2 could not check.
"""

import sys

from _project import in_the_projects_environment

in_the_projects_environment()
from connector.cli import main  # noqa: E402 (only that environment has it)

sys.argv[1:1] = ["validate"]
main()
