"""Process-wide settings, read from HOLDTRUE_* variables."""

from pathlib import Path

from pydantic import Field, HttpUrl, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a deployment of Holdtrue may set; every default works for a checkout and for the worker image."""

    model_config = SettingsConfigDict(env_prefix="HOLDTRUE_", extra="ignore", frozen=True)

    fleet: Path = Field(default=Path("fleet"), description="Folder with environments/*.yaml and what they name.")
    reports: Path = Field(
        default=Path("~/.local/state/holdtrue/reports"),
        description="Folder that receives JUnit and JSON reports, one sub-folder a flow run.",
    )
    ledger_url: SecretStr = Field(
        default=SecretStr("sqlite:///~/.local/state/holdtrue/ledger.db"),
        description="SQLAlchemy URL of the ledger; a PostgreSQL that all workers share when there are several.",
    )
    osv_url: HttpUrl = Field(
        default=HttpUrl("https://api.osv.dev"), description="Base address of the OSV API that audits ask."
    )
    audit_timeout_seconds: float = Field(default=600.0, gt=0, description="How long the audit of one target may take.")
    connect_timeout_seconds: float = Field(
        default=5.0, gt=0, description="How long a preflight check or a probe waits for a connection."
    )


def load_settings() -> Settings:
    """Read the settings now; nothing is cached, so a test or a run sees its own environment."""
    return Settings()
