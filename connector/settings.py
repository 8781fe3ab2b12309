"""The settings, read once from environment variables (`EMERGENCY_…`) into a frozen object.

`docs/settings.md` lists them. Secrets are of a type that hides them in every print.
"""

from __future__ import annotations

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from cronsim import CronSim, CronSimError
from email_validator import EmailNotValidError, validate_email
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from connector.errors import SettingsError
from connector.logs import log

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
STEPS = ("presence", "callback_number", "callback_routing", "panel", "notification", "restore")


def _split(value: Any) -> Any:
    """`a; b, c` as a list: what people type into an environment variable."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.replace(";", ",").split(",") if part.strip()]


class Settings(BaseSettings):
    """Everything an organisation can choose. Times are in the unit that the name says."""

    model_config = SettingsConfigDict(env_prefix="EMERGENCY_", frozen=True, extra="ignore", env_ignore_empty=True)

    dataverse_url: str = ""
    """Address of the environment, such as https://org.crm.dynamics.com"""
    authority: str = ""
    """Entra ID authority with the tenant, such as https://login.microsoftonline.com/<tenant id>"""
    client_id: str = ""
    client_secret: SecretStr | None = None
    client_certificate: Path | None = None
    """PEM file with private key and certificate, instead of a client secret."""
    managed_identity: bool = False
    """Use the machine's own identity instead of a client secret."""

    acs_endpoint: str = ""
    """Address of the ACS resource, such as https://resource.unitedstates.communication.azure.com"""
    acs_access_key: SecretStr | None = None
    """Without it, ACS is called with the same Entra identity as Dataverse."""
    email_sender: str = ""
    """Address on a verified domain that is linked to the ACS resource."""
    ca_file: Path | None = None
    """PEM file of a private certificate authority to trust instead of the public ones."""

    store_url: SecretStr = SecretStr("sqlite:///emergency.db")
    directory_url: SecretStr | None = None
    """Default: beside a SQLite store a file of its own; in a PostgreSQL store the same database."""
    mappings: Path | None = None

    public_url: str = ""
    """Address of the service as Dataverse reaches it; the validation tells steps that lead elsewhere."""
    webhook_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = ()
    """Accepted secrets; two at once while one replaces the other."""
    webhook_header: str = "x-emergency-secret"
    webhook_query: str = "secret"
    """Name of the query pair that may carry the secret, beside `code`."""
    eventgrid_topic: str = ""
    """Start of the topic that may subscribe our endpoint and deliver to it; empty: any."""
    max_body_bytes: int = Field(default=1_048_576, ge=65_536)

    fallback_recipients: Annotated[tuple[str, ...], NoDecode] = ()
    """Told when an agent is unknown or has nobody to tell."""
    drill_recipients: Annotated[tuple[str, ...], NoDecode] = ()
    """Told when a test number (933) is dialled."""
    administrators: Annotated[tuple[str, ...], NoDecode] = ()
    """Get a mail with what is new or resolved each time the service validates everybody."""
    validation_cron: str = ""
    """When the service validates everybody, as a cron expression in UTC such as `0 5 * * *`; empty: never."""
    template_title: str = "Emergency Call Notification Template"
    callback_numbers: Annotated[tuple[str, ...], NoDecode] = ()
    """Numbers of the ACS resource to lease (E.164). Default: each that takes calls and that Dynamics does not use."""
    excluded_steps: Annotated[tuple[str, ...], NoDecode] = ()
    """Steps left to Dynamics' built-in feature: presence, callback_number, callback_routing, panel, notification or
    restore."""

    window_minutes: int = Field(default=60, ge=60)
    """How long a callback number is the agent's, counted from the dial. ACS documents at least 60."""
    minutes_after_call: int = Field(default=15, ge=0)
    """How long it stays the agent's after the end of a call that outlasted the window."""
    guardian_minutes: int = Field(default=240, ge=5)
    """When a call whose end was never announced is closed."""
    second_channel_seconds: int = Field(default=30, ge=5)
    """How long ACS Email may fail before Dataverse sends the message from the agent's mailbox."""
    agent_lookup_seconds: float = Field(default=2.0, gt=0, le=30)
    """Time budget to fetch an agent that the directory does not know."""
    sync_minutes: int = Field(default=5, ge=1)
    """How often the service reads what changed in Dataverse."""
    location_check_days: int = Field(default=30, ge=1)
    """How long an agent's location check is good for."""

    @field_validator(
        "webhook_secrets",
        "fallback_recipients",
        "drill_recipients",
        "administrators",
        "callback_numbers",
        "excluded_steps",
        mode="before",
    )
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return _split(value)

    @field_validator("dataverse_url", "authority", "acs_endpoint", "public_url")
    @classmethod
    def _addresses(cls, value: str) -> str:
        value = value.strip()
        if value and not (value.startswith("https://") and urlsplit(value).hostname):
            raise ValueError("must start with https:// and name a host")
        # A trailing slash would break the signature that ACS checks.
        return value.rstrip("/")

    @field_validator("acs_access_key")
    @classmethod
    def _key(cls, value: SecretStr | None) -> SecretStr | None:
        try:
            b64decode(value.get_secret_value() if value else "", validate=True)
        except ValueError:
            raise ValueError("is no access key: copy it whole") from None
        return value

    @field_validator("excluded_steps")
    @classmethod
    def _known_steps(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(value) - set(STEPS))
        if unknown:
            raise ValueError(f"unknown step; known are {', '.join(STEPS)}")
        return value

    @field_validator("fallback_recipients", "drill_recipients", "administrators")
    @classmethod
    def _recipients(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for position, address in enumerate(value, start=1):
            _check_address(address, f"entry {position}")
        return value

    @field_validator("email_sender")
    @classmethod
    def _sender(cls, value: str) -> str:
        if value:
            _check_address(value, "it")
        return value

    @field_validator("validation_cron")
    @classmethod
    def _cron(cls, value: str) -> str:
        if value:
            try:
                CronSim(value, datetime.now(UTC))
            except CronSimError:
                raise ValueError("is no cron expression, such as 0 5 * * *") from None
        return value

    @field_validator("callback_numbers")
    @classmethod
    def _numbers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(_E164.fullmatch(number) for number in value):
            raise ValueError("must be numbers such as +12025550147")
        return value

    @field_validator("ca_file", "client_certificate")
    @classmethod
    def _files(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("no such file")
        return value

    def require(self, *names: str) -> None:
        """Raises SettingsError naming every one of `names` that is not set."""
        missing = [f"EMERGENCY_{name.upper()}" for name in names if not getattr(self, name)]
        if missing:
            raise SettingsError(f"not set: {', '.join(missing)}. docs/settings.md says what each is for")


def _check_address(address: str, what: str) -> None:
    try:
        validate_email(address, check_deliverability=False)
    except EmailNotValidError:
        raise ValueError(f"{what} is no e-mail address") from None


class _Given(Settings):
    """Settings without the environment."""

    @classmethod
    def settings_customise_sources(  # type: ignore[override]  # the sources that are not used are not named
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 (the signature of pydantic-settings)
        init_settings: PydanticBaseSettingsSource,
        **_others: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def given(values: Mapping[str, str], **overrides: Any) -> Settings:
    """Settings from variables named as in the environment (`EMERGENCY_…`), whatever this process has set."""
    fields = {name.removeprefix("EMERGENCY_").lower(): value for name, value in values.items()}
    return _checked(_Given, fields | overrides)


def load(**overrides: Any) -> Settings:
    """The settings of this process; `overrides` win over the environment. One unknown is told: it may be misspelt.

    Raises SettingsError naming each variable that is wrong, without its value.
    """
    known = {f"EMERGENCY_{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ):
        if name.upper().startswith("EMERGENCY_") and name.upper() not in known:
            log().warning("setting_unknown", setting=name)
    return _checked(Settings, overrides)


def _checked(kind: type[Settings], values: Mapping[str, Any]) -> Settings:
    try:
        return kind(**values)
    except ValidationError as error:
        wrong = "; ".join(
            f"EMERGENCY_{str(e['loc'][0]).upper()}: {e['msg'].removeprefix('Value error, ')}"
            for e in error.errors()
            if e["loc"]
        )
        raise SettingsError(f"settings are wrong: {wrong}") from None
