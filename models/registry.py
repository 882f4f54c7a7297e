"""Runs, versions and roles of Engines in MLflow. What is read back are the engine's own files: no code of the registry is run."""

from __future__ import annotations

import json
import logging
import re
import tempfile
import warnings
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types.schema import ColSpec, DataType, Schema, TensorSpec

from models.champion_copy import ChampionCopy
from models.champions import InForce, noted, to_note
from models.engine_files import save_engine, seal_of
from models.errors import ModelRefused, NoChampion, RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from matplotlib.figure import Figure
    from mlflow.entities.model_registry import ModelVersion

    from models.champions import How
    from models.engine import Engine
    from models.engine_files import Golden

MODEL_NAME = "keepwell"
CHAMPION, CHALLENGER = "champion", "challenger"
ENGINE_ARTIFACT = "engine"
MAX_ENGINE_BYTES = 1 << 30
RUN_ID = re.compile(r"\w{1,64}")
ABSENT = "RESOURCE_DOES_NOT_EXIST"
SQLITE_HEADER = b"SQLite format 3\0"
SEAL = "engine_sha256"
"""Tag of a version: what is in its folder of files, kept apart from them."""
GATE_TAG, GATE_FILE = "gate", "gate.json"
"""Tag of a version and file of its run: how it went when it was last to be promoted, in a word and with all that was shown."""
CHAMPIONS = "champions"
"""Tag of the registered model: which versions were in force, as `champions.to_note` writes it."""
MEASURED = "measured"
"""Folder of a version's run: what was measured of it, a file for each time."""
PYFUNC_CODE = Path(__file__).with_name("pyfunc_engine.py")
REQUIREMENTS = ("lightgbm", "mlflow", "numpy", "pandas", "polars", "scikit-learn")
for talkative in ("mlflow", "alembic"):
    logging.getLogger(talkative).setLevel(logging.WARNING)


@dataclass(frozen=True)
class DataDescription:
    """What was learned from: a name, where it lies, and a table small enough to describe it by (never the members' rows)."""

    name: str
    source: str
    profile: pd.DataFrame


@dataclass(frozen=True)
class RunRecord:
    """All that a training run leaves beside the model."""

    parameters: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    figures: Mapping[str, Figure]
    texts: Mapping[str, str]
    data: DataDescription


@dataclass(frozen=True)
class Registered:
    version: str
    run_id: str


@dataclass(frozen=True)
class Registry:
    """One MLflow, by its tracking URI. `artifacts` is where a local one keeps its files; a remote one decides itself (None)."""

    uri: str
    artifacts: Path | None = None

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(self.uri, self.uri)

    @property
    def shown_uri(self) -> str:
        return _without_password(self.uri)

    def register(self, engine: Engine, golden: Golden, record: RunRecord) -> Registered:
        """Logs the run and registers the engine as the challenger."""
        mlflow.set_tracking_uri(self.uri)
        mlflow.set_registry_uri(self.uri)
        with (
            warnings.catch_warnings(record=True, action="ignore"),  # of all threads: not for what a service does beside its answers
            mlflow.start_run(experiment_id=self._experiment()) as run,
            tempfile.TemporaryDirectory() as scratch,
        ):
            _log(record)
            folder = Path(scratch) / ENGINE_ARTIFACT
            save_engine(engine, golden, folder)
            seal = seal_of(folder)
            logged = mlflow.pyfunc.log_model(
                name=MODEL_NAME,
                python_model=str(PYFUNC_CODE),
                artifacts={ENGINE_ARTIFACT: str(folder)},
                signature=_signature(engine),
                input_example=_example(engine),
                pip_requirements=list(REQUIREMENTS),
                registered_model_name=MODEL_NAME,
            )
        version = str(logged.registered_model_version)
        self.client.set_model_version_tag(MODEL_NAME, version, SEAL, seal)
        self.client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
        return Registered(version, run.info.run_id)

    def promote(self, version: str | None, cache: Path, *, at: datetime | None = None, how: How = "promoted") -> str:
        """Makes a version (by default the challenger) the champion, once its files have been loaded and its golden members agree.

        Raises NoChampion where nothing is registered, ModelRefused where the version does not exist or its golden members disagree.
        """
        chosen = self.version_of(CHALLENGER) if version is None else version
        self.load(chosen, cache)
        history = (*self.champions(), InForce(chosen, how, at))
        self.client.set_registered_model_alias(MODEL_NAME, CHAMPION, chosen)
        self.client.set_registered_model_tag(MODEL_NAME, CHAMPIONS, to_note(history))
        return chosen

    def champions(self) -> tuple[InForce, ...]:
        """All that were in force, the oldest first. Raises RegistryUnavailable."""
        champion = self.aliases().get(CHAMPION)
        tags = {} if champion is None else self.client.get_registered_model(MODEL_NAME).tags
        return noted(tags.get(CHAMPIONS), champion)

    def record_gate(self, version: str, outcome: str, told: Mapping[str, Any]) -> None:
        found = self._version(version)
        self.client.set_model_version_tag(MODEL_NAME, version, GATE_TAG, outcome)
        self.client.log_text(str(found.run_id), json.dumps(told, ensure_ascii=False, indent=1), GATE_FILE)

    def gate(self, version: str) -> dict[str, Any] | None:
        """What `record_gate` was told last; None for a version that nobody tried to promote."""
        found = self._version(version)
        if GATE_TAG not in found.tags:
            return None
        mlflow.set_tracking_uri(self.uri)
        told: dict[str, Any] = json.loads(mlflow.artifacts.load_text(f"runs:/{found.run_id}/{GATE_FILE}"))
        return told

    def keep_measured(self, version: str, name: str, told: Mapping[str, Any]) -> None:
        """In the place of what was kept under this name before."""
        found = self._version(version)
        self.client.log_text(str(found.run_id), json.dumps(told, ensure_ascii=False, indent=1), measured_file(name))

    def measured(self, version: str) -> dict[str, dict[str, Any]]:
        """What is kept of a version, by name."""
        run_id = str(self._version(version).run_id)
        mlflow.set_tracking_uri(self.uri)
        files = [file.path for file in self.client.list_artifacts(run_id, MEASURED)]
        return {Path(file).stem: json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{file}")) for file in files}

    def versions(self) -> tuple[str, ...]:
        """The newest first; none where nothing is registered. Raises RegistryUnavailable."""
        self.aliases()
        found = self.client.search_model_versions(f"name = '{MODEL_NAME}'")
        return tuple(sorted((str(one.version) for one in found), key=int, reverse=True))

    def version_of(self, alias: str) -> str:
        """Raises NoChampion where no version has the alias, RegistryUnavailable."""
        aliases = self.aliases()
        if alias not in aliases:
            todo = "`keepwell promote`" if alias == CHAMPION and aliases else "`keepwell train`"
            message = f'no version of "{MODEL_NAME}" is the {alias} in {self.shown_uri}; {todo} makes one'
            raise NoChampion(message)
        return aliases[alias]

    def aliases(self) -> dict[str, str]:
        """The version of each alias; none where nothing is registered. Raises RegistryUnavailable."""
        self._check_file()
        try:
            return {alias: str(version) for alias, version in self.client.get_registered_model(MODEL_NAME).aliases.items()}
        except MlflowException as fault:
            if fault.error_code == ABSENT:
                return {}
            raise self._unavailable(fault) from fault
        except ModuleNotFoundError as missing:
            raise self._unavailable(missing) from missing

    def load(self, version: str, cache: Path) -> Engine:
        """The engine of a version, from a copy kept in `cache`; raises ModelRefused, RegistryUnavailable, also where none can be kept."""
        copy = self.copy_of(version)
        if not copy.is_whole(cache):
            try:
                copy.fetch(cache, partial(self._fetched, version))
            except (MlflowException, OSError) as fault:
                why = f'the files of version "{version}" cannot be fetched into {cache} ({_first_sentence(fault)}); try again'
                raise RegistryUnavailable(why) from fault
        return copy.load(cache)

    def _fetched(self, version: str, folder: Path) -> Path:
        """The engine's own files and nothing else of the model; raises ModelRefused where they are gone, or far too large."""
        mlflow.set_registry_uri(self.uri)
        mlflow.set_tracking_uri(self.uri)
        uri = f"models:/{MODEL_NAME}/{version}/artifacts/{ENGINE_ARTIFACT}"
        listed = mlflow.artifacts.list_artifacts(artifact_uri=uri)
        if not listed:
            kept = self.client.get_model_version_download_uri(MODEL_NAME, version)
            raise ModelRefused(f'the files of version "{version}" are no longer in {kept}; train again')
        size = sum(file.file_size or 0 for file in listed)
        if size > MAX_ENGINE_BYTES:
            raise ModelRefused(f'the files of version "{version}" have {size:,} bytes; at most {MAX_ENGINE_BYTES:,} are fetched')
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))

    def copy_of(self, version: str) -> ChampionCopy:
        """Where `load` keeps it. Raises ModelRefused, RegistryUnavailable."""
        found = self._version(version)
        if not RUN_ID.fullmatch(str(found.run_id)):
            raise ModelRefused(f'version "{version}" is of the run "{found.run_id}", which is no id of MLflow; train again')
        return ChampionCopy(version, f"{found.run_id}/{ENGINE_ARTIFACT}", str(found.tags.get(SEAL)))

    def champion(self, cache: Path) -> Engine:
        """The engine in force; raises NoChampion, or ModelRefused where it cannot be trusted."""
        return self.load(self.version_of(CHAMPION), cache)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(MODEL_NAME)
        if found is not None:
            return str(found.experiment_id)
        location = None if self.artifacts is None else self.artifacts.resolve().as_uri()
        return str(self.client.create_experiment(MODEL_NAME, artifact_location=location))

    def _version(self, version: str) -> ModelVersion:
        self.aliases()
        versions = {str(found.version): found for found in self.client.search_model_versions(f"name = '{MODEL_NAME}'")}
        if version not in versions:
            known = ", ".join(sorted(versions, key=int)) or "none"
            raise ModelRefused(f'"{MODEL_NAME}" has no version "{version}" in {self.shown_uri}; registered are {known}')
        return versions[version]

    def _check_file(self) -> None:
        """SQLite tells late, and in many words, that a file is none of its own."""
        kind, _, path = self.uri.partition(":///")
        if kind == "sqlite" and Path(path).is_file() and _beginning(Path(path)) not in (b"", SQLITE_HEADER):
            raise RegistryUnavailable(f"{path} is no MLflow database; give another URI, or move the file away and train again")

    def _unavailable(self, fault: Exception) -> RegistryUnavailable:
        why = _first_sentence(fault)
        return RegistryUnavailable(f"the registry {self.shown_uri} cannot be asked ({why}); give the URI of an MLflow that runs")


def measured_file(name: str) -> str:
    """Its path in a run."""
    return f"{MEASURED}/{name}.json"


def _first_sentence(fault: Exception) -> str:
    return (_without_password(str(fault)).strip() or type(fault).__name__).splitlines()[0].split(". ")[0]


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]*@", "//", text)


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(SQLITE_HEADER))


def _log(record: RunRecord) -> None:
    mlflow.log_params(dict(record.parameters))
    mlflow.log_metrics(dict(record.metrics))
    for name, figure in record.figures.items():
        mlflow.log_figure(figure, name)
    for name, text in record.texts.items():
        mlflow.log_text(text, name)
    data: Any = mlflow.data.from_pandas(record.data.profile, source=record.data.source, name=record.data.name)  # type: ignore[attr-defined]  # MLflow makes it at run time
    mlflow.log_input(data, context="training")


def _signature(engine: Engine) -> ModelSignature:
    """One row for each member; `events` is a JSON list of {type, timestamp, value}, `attributes` a JSON object that may be missing."""
    inputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, name) for name in ("member_id", "as_of", "joined", "events")]
    if engine.attributes.attributes:
        inputs.append(ColSpec(DataType.string, "attributes", required=False))
    outputs: list[ColSpec | TensorSpec] = [ColSpec(DataType.string, "member_id"), ColSpec(DataType.string, "status")]
    outputs += [ColSpec(DataType.double, f"churn_probability_{days}d") for days in engine.churn.horizons_days]
    return ModelSignature(Schema(inputs), Schema(outputs))


def _example(engine: Engine) -> pd.DataFrame:
    """A member who does not exist, with one event."""
    at = engine.provenance.trained_through
    event = {"type": engine.community.signals[0].event_types[0], "timestamp": (at - timedelta(days=3)).isoformat(), "value": None}
    joined = (at - timedelta(days=90)).isoformat()
    return pd.DataFrame({"member_id": ["example"], "as_of": [at.isoformat()], "joined": [joined], "events": [json.dumps([event])]})
