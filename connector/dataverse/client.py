"""The Dataverse Web API as far as the connector needs it: read, read changes, update with an ETag, call actions.

Nothing is repeated here. Reads that may wait go through `patiently`; on the emergency path the outbox decides.
What an answer means, and how long to wait after it, is in `responses.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from json import dumps
from typing import Any, TypeVar
from urllib.parse import urlencode

import requests
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from connector.dataverse import pages
from connector.dataverse.pages import Page
from connector.dataverse.responses import body, breather, refusal
from connector.dataverse.tokens import Tokens
from connector.errors import BadData, EditConflict, NotFound, RetryLater
from connector.http import Session
from connector.logs import log

API = "/api/data/v9.2/"
PAGE_SIZE = 5000
"""Dataverse's own default and maximum."""
CONNECT_SECONDS, READ_SECONDS = 5.0, 60.0
ATTEMPTS = 8
_HEADERS = {"Accept": "application/json", "OData-MaxVersion": "4.0", "OData-Version": "4.0", "If-None-Match": "null"}
Answer = TypeVar("Answer")
_backoff = wait_random_exponential(multiplier=0.5, max=30)


class Dataverse:
    """One environment. Safe to share between threads."""

    def __init__(self, url: str, tokens: Tokens, http: Session, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._root = url + API
        self._scope = f"{url}/.default"
        self._tokens = tokens
        self._http = http

    def owns(self, link: str) -> bool:
        """Whether a link belongs to this environment, and not to the one that a changed setting named before."""
        return link.startswith(self._root)

    def get(
        self, path: str, *, params: Mapping[str, str] | None = None, prefer: str = "", timeout: float = READ_SECONDS
    ) -> Any:
        """Reads `path` (relative, or a whole nextLink or deltaLink) and returns the JSON.

        Raises RetryLater, AuthenticationError, MissingPrivilege, NotFound, ServiceRejected or BadData.
        """
        return body(self._read(path, params=params, prefer=prefer, timeout=timeout))

    def patiently(self, read: Callable[[], Answer]) -> Answer:
        """Repeats a read that may succeed later: after as long as the service says, or after growing, random pauses
        where it says nothing. Raises the last RetryLater after some minutes of trouble."""
        return Retrying(
            retry=retry_if_exception_type(RetryLater),
            wait=_wait,
            stop=stop_after_attempt(ATTEMPTS),
            before_sleep=_tell,
            sleep=self._sleep,
            reraise=True,
        )(read)

    def update(self, table_set: str, row_id: str, changes: Mapping[str, Any], *, etag: str) -> None:
        """Changes columns of a row that still is as `etag` says. Raises EditConflict if somebody edited it."""
        self._send("PATCH", f"{table_set}({row_id})", json=changes, headers={"If-Match": etag})

    def create_once(self, table_set: str, row: Mapping[str, Any]) -> None:
        """Creates a row whose id we chose and is in `row`; does nothing where it exists, so it is safe to repeat."""
        try:
            self._send("POST", table_set, json=row)
        except EditConflict:
            return

    def delete(self, table_set: str, row_id: str) -> None:
        """Deletes a row; does nothing where it is gone already."""
        try:
            self._send("DELETE", f"{table_set}({row_id})")
        except NotFound:
            return

    def act(self, action: str, body: Mapping[str, Any], *, timeout: float = READ_SECONDS) -> None:
        """Calls an action, by name or bound (`set(id)/Namespace.Name`), whose answer does not matter."""
        self._send("POST", action, json=body, timeout=timeout)

    def pages(self, first: str, columns: tuple[str, ...], *, prefer: str) -> Iterator[Page]:
        """Reads page after page of `columns` from a path or link.

        Each page is read `patiently`, and later where little is left of what Dataverse lets a user do in five minutes.
        Raises BadData where a link comes back that was followed before, since that would never end.
        """
        followed: set[str] = set()
        link: str | None = first
        while link:
            followed.add(link)
            at = link
            page, pause = self.patiently(lambda: self._page(at, columns, prefer))  # noqa: B023 (called at once)
            link = page.next_link
            if link in followed:
                raise BadData("Dataverse repeats a page link, so the read would never end: try again later")
            yield page
            del page  # the next page shall not find this one still in memory
            if link and pause:
                log().info("dataverse_slows", seconds=round(pause, 1))
                self._sleep(pause)

    def _page(self, link: str, columns: tuple[str, ...], prefer: str) -> tuple[Page, float]:
        """A page, and how many seconds to wait before the next one."""
        response = self._read(link, prefer=prefer)
        return pages.page(response, columns), breather(response)

    def _read(
        self, path: str, *, params: Mapping[str, str] | None = None, prefer: str, timeout: float = READ_SECONDS
    ) -> requests.Response:
        return self._send("GET", path, params=params, headers={"Prefer": prefer} if prefer else {}, timeout=timeout)

    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = READ_SECONDS,
    ) -> requests.Response:
        token = self._tokens.token(self._scope)
        url = path if path.startswith("https://") else self._root + path
        if not self.owns(url):
            raise BadData("Dataverse named a link to another address, which gets no token of ours")
        if params:
            url = f"{url}?{urlencode(params)}"
        sent = {**_HEADERS, **(headers or {}), "Authorization": f"Bearer {token}"}
        if json is not None:
            sent["Content-Type"] = "application/json"
        try:
            response = self._http.exchange(
                method,
                url,
                headers=sent,
                body=None if json is None else dumps(json).encode(),
                timeout=(min(CONNECT_SECONDS, timeout), timeout),
            )
        except requests.RequestException as error:
            raise RetryLater(f"Dataverse cannot be reached ({type(error).__name__})") from None
        if response.status_code >= 300:
            raise refusal(response)
        return response


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    wish = error.retry_after if isinstance(error, RetryLater) else None
    # A wish is never undercut: going on to send makes Dataverse's Retry-After grow.
    return wish if wish is not None else float(_backoff(state))


def _tell(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    code = error.code if isinstance(error, RetryLater) else ""
    log().warning(
        "dataverse_waits", problem=str(error), code=code, attempt=state.attempt_number, seconds=state.upcoming_sleep
    )
