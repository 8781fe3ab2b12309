#!/usr/bin/env python3
"""Sets agents' Emergency Call Notifications; for schedulers and admins who call a file.

The same as `emergency-connector recipients set`; --help tells its options.
"""

import sys

from _project import in_the_projects_environment

in_the_projects_environment()
from connector.cli import main  # noqa: E402 (only that environment has it)

sys.argv[1:1] = ["recipients", "set"]
main()
