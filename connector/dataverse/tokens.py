"""Access tokens from Entra ID, through msal, for Dataverse and for ACS alike; msal keeps them until they run out."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import msal
import requests
from azure.core.credentials import AccessToken

from connector.errors import AuthenticationError, RetryLater, SettingsError
from connector.settings import Settings


class Tokens:
    """Gives tokens by scope. Also a credential in the sense of the Azure SDKs. Safe to share between threads."""

    def __init__(self, settings: Settings, http: requests.Session) -> None:
        self._settings = settings
        self._http = http
        self._lock = threading.Lock()
        self._app: msal.ConfidentialClientApplication | None = None
        self._machine: msal.ManagedIdentityClient | None = None

    def token(self, scope: str) -> str:
        """A bearer token, at most once a life time from the network.

        Raises AuthenticationError where Entra ID refuses, RetryLater where it cannot be reached, SettingsError
        where no identity is set.
        """
        return str(self._acquire(scope)["access_token"])

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        """The credential protocol of the Azure SDKs."""
        answer = self._acquire(scopes[0])
        return AccessToken(answer["access_token"], int(time.time()) + int(answer["expires_in"]))

    def _acquire(self, scope: str) -> dict[str, Any]:
        try:
            if self._settings.managed_identity:
                answer = self._managed_identity(scope)
            else:
                answer = self._application().acquire_token_for_client(scopes=[scope])
        except requests.RequestException as error:
            raise RetryLater(f"Entra ID cannot be reached ({type(error).__name__})") from None
        except msal.exceptions.MsalServiceError:
            raise RetryLater("Entra ID is out of order") from None
        except (ValueError, RuntimeError) as error:
            # A wrong authority, or an answer that is none of Entra ID's.
            raise AuthenticationError(
                f"Entra ID gave no usable answer ({type(error).__name__}): check EMERGENCY_AUTHORITY and the credential"
            ) from None
        except OSError as error:
            raise SettingsError(f"EMERGENCY_CA_FILE cannot be used ({type(error).__name__})") from None
        if "access_token" not in answer:
            raise AuthenticationError(
                f"Entra ID gave no token ({answer.get('error')}): check EMERGENCY_CLIENT_ID, the secret or "
                "certificate, and that the application may use the resource",
                request_id=answer.get("correlation_id"),
            )
        return dict(answer)

    def _managed_identity(self, scope: str) -> dict[str, Any]:
        with self._lock:
            if self._machine is None:
                self._machine = msal.ManagedIdentityClient(msal.SystemAssignedManagedIdentity(), http_client=self._http)
        return dict(self._machine.acquire_token_for_client(resource=scope.removesuffix("/.default")))

    def _application(self) -> msal.ConfidentialClientApplication:
        with self._lock:
            if self._app is None:
                self._settings.require("authority", "client_id")
                self._app = msal.ConfidentialClientApplication(
                    self._settings.client_id,
                    authority=self._settings.authority,
                    client_credential=_credential(self._settings),
                    # The authority is the organisation's own choice; msal would ask a public address about it.
                    instance_discovery=False,
                    http_client=self._http,
                )
            return self._app


def _credential(settings: Settings) -> Any:
    """What msal takes: a secret, or a certificate with its private key in one PEM file."""
    if settings.client_secret:
        return settings.client_secret.get_secret_value()
    if settings.client_certificate:
        return {
            "private_key": _pem(settings.client_certificate),
            "public_certificate": _pem(settings.client_certificate),
        }
    raise SettingsError("set EMERGENCY_CLIENT_SECRET, EMERGENCY_CLIENT_CERTIFICATE or EMERGENCY_MANAGED_IDENTITY")


def _pem(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"EMERGENCY_CLIENT_CERTIFICATE cannot be read: {type(error).__name__}") from None
