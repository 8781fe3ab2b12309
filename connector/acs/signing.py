"""Authorises a request to ACS: signed with the resource's access key, or with a token of Entra ID.

The official clients do the same in their pipeline; this is for the one request on the way of a dial.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import urlsplit

from connector.acs.pipeline import Access

SCOPE = "https://communication.azure.com//.default"
"""With two slashes, as all of ACS's own clients ask for it."""


def authorised(access: Access, method: str, url: str, body: bytes) -> Mapping[str, str]:
    """The headers that authorise a request.

    The signature covers method, path with query, time, host and the hash of the body. [documented: sign an HTTP request
    with HMAC] Raises AuthenticationError or RetryLater where Entra ID gives no token.
    """
    key = access.settings.acs_access_key
    if key is None:
        return {"Authorization": f"Bearer {access.tokens.token(SCOPE)}"}
    parts, at = urlsplit(url), formatdate(usegmt=True)
    digest = b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{parts.path}?{parts.query}\n{at};{parts.netloc};{digest}"
    signature = b64encode(hmac.new(b64decode(key.get_secret_value()), text.encode(), hashlib.sha256).digest()).decode()
    return {
        "x-ms-date": at,
        "x-ms-content-sha256": digest,
        "Authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }
