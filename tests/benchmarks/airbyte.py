"""Airbyte's source for Dataverse, in an environment of its own: it pins older versions of what the connector needs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from connector.mappings import TableMapping

PACKAGE = "airbyte-source-microsoft-dataverse"
HOME = Path(__file__).parents[2] / ".cache" / "airbyte"
PYTHON = HOME / "bin" / "python"
_READ = """
import json, sys, time
from airbyte_cdk.models import SyncMode
from airbyte_cdk.sources.streams.http.requests_native_auth import TokenAuthenticator
from source_microsoft_dataverse import streams
given = json.load(sys.stdin)
common = dict(url=given["url"], stream_name=given["table"], stream_path=given["set"], schema={},
              primary_key=[[given["id"]]], odata_maxpagesize=5000, authenticator=TokenAuthenticator(given["token"]))
if given["tracked"]:
    stream = streams.IncrementalMicrosoftDataverseStream(config_cursor_field=[given["id"]], **common)
else:
    stream = streams.MicrosoftDataverseStream(**common)
stream._session.verify = given["ca_file"]  # it asks no environment variable
# It has no setting for columns either; what it takes for the state of its last read goes into the query as it is.
began = time.perf_counter()
rows = sum(1 for _ in stream.read_records(SyncMode.full_refresh, stream_state={"$select": given["select"]}))
assert rows
print(time.perf_counter() - began)
"""


def install() -> str:
    """Its version, after installing it where it is not yet; "" where it cannot be installed."""
    try:
        if not PYTHON.exists():
            subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", PACKAGE], check=True, capture_output=True)
        shown = subprocess.run([*pip, "show", PACKAGE], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("Version:"))


def read(info: dict[str, str], mapping: TableMapping, token: str, *, tracked: bool) -> float:
    """Seconds in which it reads the rows and columns of a mapping, in a process of its own."""
    what = {"table": mapping.table, "set": mapping.set, "id": mapping.id, "select": mapping.select}
    where = {"url": info["dataverse_url"], "ca_file": info["ca_file"], "token": token}
    given = json.dumps({**what, **where, "tracked": tracked})
    ended = subprocess.run([str(PYTHON), "-c", _READ], input=given, stdout=subprocess.PIPE, text=True, check=True)
    return float(ended.stdout.splitlines()[-1])
