#!/usr/bin/env python3
"""Checks the prerequisites of every agent; for schedulers that call a file.

The same as `emergency-connector validate`; --help tells its options. Exit codes: 0 nothing as bad as --fail-on was
found, 1 something was, 2 could not check.
"""

import sys

from connector.cli import main

sys.argv[1:1] = ["validate"]
main()
