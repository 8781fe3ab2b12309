"""`$batch`: multipart parts in order; change sets are atomic and hold no GET. [documented: batch operations]

Part addresses may be absolute or relative to the host: the official client sends the one, others the other.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus

from connector.sandbox.dataverse.errors import WebApiError, bad_query
from connector.sandbox.dataverse.messages import Request, Response, error_response
from connector.sandbox.dataverse.rows import Transaction

MOST_REQUESTS = 1000
Handle = Callable[["Part", Transaction], Response]


@dataclass(frozen=True)
class Part:
    """One request inside a batch."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    content_id: str | None


@dataclass(frozen=True)
class ChangeSet:
    """Requests that succeed or fail together."""

    parts: list[Part] = field(default_factory=list)


def run_batch(request: Request, handle: Handle, begin: Callable[[], Transaction]) -> Response:
    """Runs the parts and answers them in order; the first failure ends it, unless told to go on."""
    items = list(_items(request.body, _boundary(request.headers.get("content-type", ""))))
    count = sum(len(item.parts) if isinstance(item, ChangeSet) else 1 for item in items)
    if count > MOST_REQUESTS:
        raise bad_query(f"The batch contains more than {MOST_REQUESTS} requests.")
    go_on = request.prefers("odata.continue-on-error") is not None
    boundary = f"batchresponse_{uuid.uuid4()}"
    out: list[bytes] = []
    for item in items:
        if isinstance(item, ChangeSet):
            text, failed = _run_change_set(item, handle, begin)
        else:
            response = _run_part(item, handle, begin)
            text, failed = _http_part(response, item.content_id), response.status >= 400
        out.append(f"--{boundary}\r\n".encode() + text)
        if failed and not go_on:
            break
    body = b"".join(out) + f"--{boundary}--\r\n".encode()
    return Response(200, body, {"Content-Type": f"multipart/mixed; boundary={boundary}", "OData-Version": "4.0"})


def _run_part(part: Part, handle: Handle, begin: Callable[[], Transaction]) -> Response:
    transaction = begin()
    try:
        response = handle(part, transaction)
    except WebApiError as error:
        transaction.roll_back()
        return error_response(error)
    transaction.commit()
    return response


def _run_change_set(item: ChangeSet, handle: Handle, begin: Callable[[], Transaction]) -> tuple[bytes, bool]:
    """A failed change set is a single error part. [inferred]"""
    transaction = begin()
    boundary = f"changesetresponse_{uuid.uuid4()}"
    out: list[bytes] = []
    created: dict[str, str] = {}
    for part in item.parts:
        try:
            response = handle(_with_references(part, created), transaction)
        except WebApiError as error:
            transaction.roll_back()
            return _http_part(error_response(error), part.content_id), True
        if part.content_id and "OData-EntityId" in response.headers:
            created[part.content_id] = response.headers["OData-EntityId"]
        out.append(f"--{boundary}\r\n".encode() + _http_part(response, part.content_id))
    transaction.commit()
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n".encode()
    return head + b"".join(out) + f"--{boundary}--\r\n".encode(), False


def _with_references(part: Part, created: dict[str, str]) -> Part:
    """Replaces `$1` by the row that the part with this Content-ID made. [documented]"""
    if not created:
        return part

    def address(match: re.Match[str]) -> str:
        return created.get(match[1], match[0])

    target = re.sub(r"^/?\$(\d+)", address, part.target)
    body = re.sub(r'(?<=")/?\$(\d+)(?=")', address, part.body.decode()).encode()
    return Part(part.method, target, part.headers, body, part.content_id)


def _http_part(response: Response, content_id: str | None) -> bytes:
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    if content_id:
        lines.append(f"Content-ID: {content_id}")
    lines += ["", f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + response.body + b"\r\n"


def _items(body: bytes, boundary: str) -> Iterator[Part | ChangeSet]:
    for text in _pieces(body, boundary):
        headers, content = _headed(text)
        kind = headers.get("content-type", "")
        if kind.startswith("multipart/mixed"):
            inner = [_part(*_headed(piece)) for piece in _pieces(content, _boundary(kind))]
            if any(part.method == "GET" for part in inner):
                raise bad_query("A change set must not contain a GET request.")
            yield ChangeSet(inner)
        else:
            yield _part(headers, content)


def _part(outer: dict[str, str], content: bytes) -> Part:
    if not outer.get("content-type", "").startswith("application/http"):
        raise bad_query("Each part of a batch must be of type application/http.")
    line, _, rest = content.lstrip(b"\r\n").partition(b"\n")
    # The official client leaves blanks of a filter as they are, so the target may contain some. [observed in a run]
    words = re.fullmatch(r"([A-Z]+) (.+) HTTP/1\.1", line.decode().strip())
    if not words:
        raise bad_query("The request line of a batch part cannot be read.")
    headers, body = _headed(rest)
    if "$batch" in words[2]:
        raise bad_query("A batch must not contain a batch.")
    return Part(words[1], words[2], headers, body, outer.get("content-id"))


def _boundary(content_type: str) -> str:
    match = re.search(r'boundary="?([^";]+)"?', content_type)
    if not match or not content_type.startswith("multipart/mixed"):
        raise bad_query("A batch must be of type multipart/mixed with a boundary.")
    return match[1]


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    """What stands between the delimiter lines; the line break before a delimiter belongs to it."""
    parts = re.split(rb"(?:^|\r?\n)--" + re.escape(boundary.encode()) + rb"(?:--)?[ \t]*(?:\r?\n|$)", body)
    return [part for part in parts[1:] if part.strip()]


def _headed(text: bytes) -> tuple[dict[str, str], bytes]:
    """Header lines, by lower-case name, and what follows the blank line."""
    headers: dict[str, str] = {}
    rest = text
    while rest:
        line, _, rest = rest.partition(b"\n")
        if not line.strip():
            break
        name, _, value = line.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    return headers, rest
