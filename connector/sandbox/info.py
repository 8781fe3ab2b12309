"""What a client must know to reach a running sandbox."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class SandboxInfo:
    """Addresses, names and secrets of a running sandbox; the secrets do not show in its repr."""

    authority: str
    tenant_id: str
    client_id: str
    client_secret: str = field(repr=False)
    dataverse_url: str
    acs_endpoint: str
    acs_access_key: str = field(repr=False)
    email_sender: str
    control_url: str
    control_key: str = field(repr=False)
    ca_file: str
    organization_id: str

    def settings(self) -> dict[str, str]:
        """The environment variables that point the connector at this sandbox."""
        return {
            "EMERGENCY_DATAVERSE_URL": self.dataverse_url,
            "EMERGENCY_AUTHORITY": self.authority,
            "EMERGENCY_CLIENT_ID": self.client_id,
            "EMERGENCY_CLIENT_SECRET": self.client_secret,
            "EMERGENCY_ACS_ENDPOINT": self.acs_endpoint,
            "EMERGENCY_ACS_ACCESS_KEY": self.acs_access_key,
            "EMERGENCY_EMAIL_SENDER": self.email_sender,
            "EMERGENCY_CA_FILE": self.ca_file,
        }

    def as_dict(self) -> dict[str, str]:
        """Everything, the secrets included: for a parent process that started the sandbox."""
        return asdict(self)
