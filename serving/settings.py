"""Where the service finds its community, its store and its models; the only place of `serving` that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from models.errors import InputError
from models.sealing import Seal
from models.store_address import with_password

Clock = Callable[[], datetime]
DECLARATION_NAME = "keepwell.yaml"


@dataclass(frozen=True)
class Settings:
    """`as_of` stops the clock of the service at one moment, so that a log which ended long ago can be scored.

    `future_seconds` is how far an event may lie ahead of that clock; `store_seconds` how long a lock of the store is waited for;
    `model_seconds` how often the champion is looked up, and `first_model_seconds` how long a process waits for it before it listens.
    `workers` processes share one `rate_limit`. Processes with one `metrics_folder` tell their figures together. With `shadow` the
    challenger is asked too, and nothing done by it. `seal` opens the secrets of webhooks.
    """

    declaration: Path
    store_url: str
    mlflow_uri: str
    model_cache: Path
    as_of: datetime | None = None
    future_seconds: float = 300
    store_seconds: float = 5
    model_seconds: float = 5
    first_model_seconds: float = 30
    max_body_bytes: int = 4 << 20
    rate_limit: str = "200000/minute"
    workers: int = 1
    metrics_folder: Path | None = None
    otlp_endpoint: str | None = None
    shadow: bool = False
    seal: Seal = field(default_factory=Seal)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """KEEPWELL_HOME: the folder of keepwell.yaml, or such a file; the working folder by default. The state lies beside it.

        KEEPWELL_STORE_URL and KEEPWELL_MLFLOW_URI move the state elsewhere, and KEEPWELL_STORE_PASSWORD_FILE holds the password of the
        former; KEEPWELL_SECRET_KEY holds the keys that seal the secrets of
        webhooks; KEEPWELL_AS_OF stops the clock; KEEPWELL_RATE_LIMIT is how often each key may ask all KEEPWELL_WORKERS processes that
        serve together; KEEPWELL_SHADOW=challenger asks the challenger in the shadow. PROMETHEUS_MULTIPROC_DIR is read by the client of
        Prometheus too, when that is imported, and OTEL_EXPORTER_OTLP_ENDPOINT names a collector of spans. Raises InputError.
        """
        home = Path(environment.get("KEEPWELL_HOME", ".")).resolve()
        declaration = home if home.is_file() else home / DECLARATION_NAME
        state = declaration.parent / ".keepwell"
        figures = environment.get("PROMETHEUS_MULTIPROC_DIR")
        store_url = environment.get("KEEPWELL_STORE_URL") or f"sqlite:///{state / 'keepwell.db'}"
        return cls(
            declaration,
            with_password(store_url, environment.get("KEEPWELL_STORE_PASSWORD_FILE")),
            environment.get("KEEPWELL_MLFLOW_URI") or f"sqlite:///{state / 'mlflow.db'}",
            state / "model-cache",
            _moment(environment.get("KEEPWELL_AS_OF")),
            rate_limit=environment.get("KEEPWELL_RATE_LIMIT") or cls.rate_limit,
            workers=_workers(environment.get("KEEPWELL_WORKERS")),
            metrics_folder=Path(figures) if figures else None,
            otlp_endpoint=environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None,
            shadow=_shadow(environment.get("KEEPWELL_SHADOW")),
            seal=Seal.of(environment.get("KEEPWELL_SECRET_KEY"), store_url, state),
        )

    @property
    def state(self) -> Path:
        """The folder beside the declaration."""
        return self.declaration.parent / ".keepwell"

    @property
    def clock(self) -> Clock:
        stopped = self.as_of
        return wall_clock if stopped is None else lambda: stopped


def wall_clock() -> datetime:
    """That of keys, limits and receipts, whatever the clock of the service shows."""
    return datetime.now(UTC)


def _moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f'KEEPWELL_AS_OF: "{text}" is no moment; give one such as 2018-03-01T00:00:00+00:00') from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _workers(text: str | None) -> int:
    if not text:
        return 1
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InputError(f'KEEPWELL_WORKERS: "{text}" is no number of processes; give a whole number from 1 on')
    return int(text)


def _shadow(text: str | None) -> bool:
    if text not in (None, "", "challenger"):
        raise InputError(f'KEEPWELL_SHADOW: "{text}" cannot be asked in the shadow; give challenger, or leave it out')
    return bool(text)
