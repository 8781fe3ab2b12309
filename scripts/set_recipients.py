#!/usr/bin/env python3
"""Sets agents' Emergency Call Notifications; for schedulers and admins who call a file.

The same as `emergency-connector recipients set`; --help tells its options.
"""

import sys

from connector.cli import main

sys.argv[1:1] = ["recipients", "set"]
main()
