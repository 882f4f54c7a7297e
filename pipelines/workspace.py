"""Where a community's declaration and its state lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from models.errors import InputError
from models.sealing import Seal
from models.store_address import with_password

DECLARATION_NAME = "keepwell.yaml"


@dataclass(frozen=True)
class Workspace:
    """The folder that holds the declaration; state is kept in `.keepwell` beside it."""

    root: Path
    declaration_name: str = DECLARATION_NAME

    @classmethod
    def find(cls, path: Path | None = None) -> Self:
        """From a declaration, from the folder that holds one, or from the working folder and those above it; raises InputError."""
        if path is not None and path.is_file():
            return cls(path.resolve().parent, path.name)
        start = Path.cwd() if path is None else path.resolve()
        folders = [start, *start.parents] if path is None else [start]
        for folder in folders:
            if (folder / DECLARATION_NAME).is_file():
                return cls(folder)
        looked = f"{start}" if path is not None else f"{start} or above it"
        advice = "name the one that there is with --config, or write one with `keepwell init LOG --member COL --time COL`"
        raise InputError(f"no {DECLARATION_NAME} in {looked}; {advice}")

    @property
    def declaration(self) -> Path:
        return self.root / self.declaration_name

    @property
    def state(self) -> Path:
        """`.keepwell`, made where it is missing; raises InputError where it cannot be."""
        folder = self.root / ".keepwell"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as fault:
            raise InputError(f"{folder} cannot be made: {fault.strerror}") from None
        return folder

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def archive(self) -> Path:
        return self.state / "archive"

    @property
    def deliveries(self) -> Path:
        """What was taken in of days' files."""
        return self.state / "deliveries"

    @property
    def runs(self) -> Path:
        """A folder for each `as_of` that `keepwell run` ran for."""
        return self.state / "runs"

    @property
    def decisions(self) -> Path:
        """The table of the last run whose decisions are good; it stays while later runs fail."""
        return self.state / "decisions.parquet"

    @property
    def store_url(self) -> str:
        url = os.environ.get("KEEPWELL_STORE_URL") or f"sqlite:///{self.state / 'keepwell.db'}"
        return with_password(url, os.environ.get("KEEPWELL_STORE_PASSWORD_FILE"))

    @property
    def store_file(self) -> Path | None:
        """Where the store is one file; None for a database server."""
        return self._file_of(self.store_url)

    @property
    def seal(self) -> Seal:
        """Of the secrets in the store; raises InputError for keys in the environment that are none."""
        return Seal.of(os.environ.get("KEEPWELL_SECRET_KEY"), self.store_url, self.state)

    @property
    def mlflow_uri(self) -> str:
        return os.environ.get("KEEPWELL_MLFLOW_URI") or f"sqlite:///{self.state / 'mlflow.db'}"

    @property
    def mlflow_file(self) -> Path | None:
        """Where MLflow keeps its tables in one file; None for a server."""
        return self._file_of(self.mlflow_uri)

    @property
    def has_registry(self) -> bool:
        """False where MLflow is one file that is not there yet, which asking it would make."""
        return self.mlflow_file is None or self.mlflow_file.is_file()

    def _file_of(self, url: str) -> Path | None:
        kind, _, path = url.partition(":///")
        return self.root / path if kind.startswith("sqlite") else None

    @property
    def mlflow_artifacts(self) -> Path:
        return self.state / "mlflow-artifacts"

    @property
    def model_cache(self) -> Path:
        return self.state / "model-cache"
