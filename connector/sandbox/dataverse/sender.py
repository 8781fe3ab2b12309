"""Sends webhooks: one POST, one more for 502, 503 and 504, nothing after any other answer. [documented]

Disorder can be switched on: duplicates, swapped order, and holding everything back until it is released.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote

import requests
from lxml import etree

from connector.sandbox.dataverse.options import DataverseOptions

SECOND_ATTEMPT = frozenset({502, 503, 504})
WEBHOOK_KEY, HTTP_HEADER, HTTP_QUERY = 4, 5, 6


@dataclass(frozen=True)
class Delivery:
    """One webhook to send. `body` writes the payload for an attempt (1 or 2)."""

    url: str
    headers: Mapping[str, str]
    body: Callable[[int], tuple[bytes, Mapping[str, str]]]
    finished: Callable[[Outcome], None] = field(default=lambda _outcome: None)


@dataclass(frozen=True)
class Outcome:
    """How a delivery ended: the last status, None without an answer, and how often it was tried."""

    status: int | None
    attempts: int
    message: str = ""

    @property
    def succeeded(self) -> bool:
        """Any 2xx; the body does not matter. [documented]"""
        return self.status is not None and 200 <= self.status < 300


class Sender:
    """Sends deliveries, at once for synchronous steps or from its own threads."""

    def __init__(self, options: DataverseOptions, ca_file: str | None, threads: int = 4) -> None:
        self.duplicates = False
        self.reorder = False
        self.hold = False
        self._options = options
        self._verify: str | bool = ca_file or True
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="webhooks")
        self._idle = threading.Condition()
        self._open = 0
        self._held: list[Delivery] = []

    def send(self, delivery: Delivery) -> Outcome:
        """Sends now and tells how it ended."""
        outcome = Outcome(None, 0)
        for attempt in (1, 2):
            outcome = self._attempt(delivery, attempt)
            if outcome.status not in SECOND_ATTEMPT:
                break
        delivery.finished(outcome)
        return outcome

    def queue(self, delivery: Delivery) -> None:
        """Sends soon, in whatever disorder is switched on."""
        with self._idle:
            wanted = [delivery, delivery] if self.duplicates else [delivery]
            if self.hold:
                self._held += wanted
                return
            if self.reorder:
                self._held += wanted
                if len(self._held) < 2:
                    return
                wanted, self._held = self._held[::-1], []
            self._submit(wanted)

    def release(self) -> None:
        """Sends what is held back, in reverse order if order is to be disturbed."""
        with self._idle:
            held, self._held = self._held, []
            if held:
                self._submit(held[::-1] if self.reorder else held)

    def wait_until_idle(self, seconds: float = 10.0) -> bool:
        """Waits until nothing is on its way; what is held back does not count."""
        with self._idle:
            return self._idle.wait_for(lambda: self._open == 0, seconds)

    def close(self) -> None:
        """Stops the threads; what has not started is dropped."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _submit(self, deliveries: list[Delivery]) -> None:
        self._open += 1
        self._pool.submit(self._run, deliveries)

    def _run(self, deliveries: list[Delivery]) -> None:
        try:
            for delivery in deliveries:
                self.send(delivery)
        finally:
            with self._idle:
                self._open -= 1
                self._idle.notify_all()

    def _attempt(self, delivery: Delivery, attempt: int) -> Outcome:
        body, extra = delivery.body(attempt)
        headers = {"Content-Type": "application/json", **delivery.headers, **extra}
        try:
            answer = self._session().post(
                delivery.url,
                data=body,
                headers=headers,
                verify=self._verify,
                timeout=self._options.webhook_seconds,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            return Outcome(None, attempt, f"The webhook call failed: {type(error).__name__}")
        message = (
            "" if answer.ok else f"The webhook call failed because the http request failed with {answer.status_code}"
        )
        return Outcome(answer.status_code, attempt, message)

    def _session(self) -> requests.Session:
        """A session per thread. The environment's proxies and bundles are not for loopback."""
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.trust_env = False
            self._local.session = session
        session = self._local.session
        assert isinstance(session, requests.Session)
        return session


def addressed(url: str, authtype: int, authvalue: str) -> tuple[str, dict[str, str]]:
    """The address and the headers that carry an endpoint's secret. [documented; third-party code: the XML]"""
    if authtype == WEBHOOK_KEY:
        return _with_query(url, {"code": authvalue}), {}
    pairs = _settings(authvalue) if authvalue else {}
    if authtype == HTTP_HEADER:
        return url, pairs
    return _with_query(url, pairs), {}


def settings_xml(pairs: Mapping[str, str]) -> str:
    """Header or query pairs in the form in which `authvalue` holds them."""
    root = etree.Element("settings")
    for name, value in pairs.items():
        etree.SubElement(root, "setting", name=name, value=value)
    return etree.tostring(root, encoding="unicode")


def _settings(authvalue: str) -> dict[str, str]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True)
    root = etree.fromstring(authvalue.encode(), parser)
    return {item.get("name", ""): item.get("value", "") for item in root.iter("setting")}


def _with_query(url: str, pairs: Mapping[str, str]) -> str:
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in pairs.items())
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url
