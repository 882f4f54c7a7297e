"""An Engine as files: JSON, NPZ and LightGBM text. Golden members prove on loading that it still says what it said."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.attributes import AttributeEncoding, attributes_from_json, attributes_to_json
from models.booster_text import check_booster
from models.bounded_files import plain_file, read_arrays, read_json
from models.churn import ChurnModel, HorizonModel
from models.community import Community
from models.engine import Engine, Provenance, Reference
from models.errors import ModelRefused
from models.events import EventArrays
from models.features import FeatureSpec, SignalUse, feature_spec
from models.learned_uplift import LearnedUplift
from models.snapshots import Snapshots
from models.value import value_from_dict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from models.histories import Histories

FORMAT = 5
ENGINE_FILE, REFERENCE_FILE, GOLDEN_FILE = "engine.json", "reference.npz", "golden.npz"
GOLDEN_MEMBERS = 5
FEATURE_TOLERANCE = 1e-5
SCORE_TOLERANCE = 1e-6
EVENT_FIELDS = ("offsets", "timestamp_us", "signal", "value", "joined_us", "contract_end_us")
MALFORMED = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, MemoryError, RecursionError)
"""What reading may end in where files fit each other only in their digests."""
SNAPSHOT_FIELDS = ("member", "as_of_us", "joined_us")


@dataclass(frozen=True)
class GoldenMembers:
    """All events of a few members, and their snapshots."""

    events: EventArrays
    snapshots: Snapshots

    @classmethod
    def of(cls, histories: Histories, snapshots: Snapshots, rng: np.random.Generator) -> Self:
        """Drawn at random from the snapshots, each member of which has one."""
        rows = np.sort(rng.choice(len(snapshots), min(GOLDEN_MEMBERS, len(snapshots)), replace=False))
        chosen = snapshots[rows]
        return cls(histories.events_of(chosen.member), Snapshots(np.arange(len(rows)), chosen.as_of_us, chosen.joined_us))


@dataclass(frozen=True)
class Golden:
    """A few members' events and snapshots with the features, probabilities and values computed from them when the engine was made."""

    events: EventArrays
    snapshots: Snapshots
    features: np.ndarray
    probability: np.ndarray
    value: np.ndarray
    uplift: np.ndarray

    @classmethod
    def of(cls, engine: Engine, members: GoldenMembers) -> Self:
        scores = engine.score(members.events, members.snapshots)
        uplift = engine.uplift.effect(scores.features, engine.main_probability(scores))
        return cls(members.events, members.snapshots, scores.features, scores.probability, scores.value, uplift)

    def verify(self, engine: Engine) -> None:
        """Raises ModelRefused where the engine no longer gives the stored features or scores, or where these prove nothing."""
        self._check_shapes(engine)
        scores = engine.score(self.events, self.snapshots)
        if not np.allclose(scores.features, self.features, rtol=FEATURE_TOLERANCE, atol=FEATURE_TOLERANCE, equal_nan=True):
            wrong = ~np.isclose(scores.features, self.features, rtol=FEATURE_TOLERANCE, atol=FEATURE_TOLERANCE, equal_nan=True)
            name = engine.names[int(np.flatnonzero(wrong.any(axis=0))[0])]
            message = f'golden members: feature "{name}" is not what it was when the model was trained; train again with this release'
            raise ModelRefused(message)
        uplift = engine.uplift.effect(scores.features, engine.main_probability(scores))
        same = np.allclose(scores.probability, self.probability, atol=SCORE_TOLERANCE) and np.allclose(scores.value, self.value, rtol=1e-5)
        if not same or not np.allclose(uplift, self.uplift, atol=SCORE_TOLERANCE):
            message = "golden members: the same features now give other scores; the model's files or a library have changed; train again"
            raise ModelRefused(message)

    def _check_shapes(self, engine: Engine) -> None:
        n, offsets = len(self.snapshots), self.events.offsets
        shapes = [array.shape for array in (self.features, self.probability, self.value, self.uplift)]
        width, reference = len(engine.names), engine.reference
        expected = [(n, width), (n, len(engine.churn.horizons_days)), (n,), (n, len(engine.community.interventions))]
        if n == 0 or shapes != expected or (reference.values.shape, reference.centre.shape) != ((width,), (width,)):
            message = f"golden members: arrays of {shapes} for {n} members where {expected} belong; train again with this release"
            raise ModelRefused(message)
        whole = offsets.ndim == 1 and offsets[0] == 0 and (np.diff(offsets) >= 0).all() and offsets[-1] == len(self.events.timestamp_us)
        if not whole or any(len(column) != offsets[-1] for column in (self.events.signal, self.events.value)):
            raise ModelRefused("golden members: their events do not add up; train again with this release")


def save_engine(engine: Engine, golden: Golden, folder: Path) -> None:
    """Writes the folder's files; `folder` is made and must hold no other engine. `engine.json` names the others with their SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        "format": FORMAT,
        "community": engine.community.model_dump(mode="json"),
        "spec": asdict(engine.spec),
        "fingerprint": engine.spec.fingerprint,
        "attributes": engine.attributes.to_list(),
        "churn": _boosters_to_files(engine.churn.to_dict(), folder, "churn"),
        "baselines": {name: model.to_dict() for name, model in engine.baselines.items()},
        "value": _boosters_to_files(engine.value.to_dict(), folder, "value"),
        "uplift": None if engine.learned_uplift is None else _boosters_to_files(engine.learned_uplift.to_dict(), folder, "uplift"),
        "reference": {"typical_probability": engine.reference.typical_probability, "band_edges": engine.reference.band_edges},
        "provenance": {
            **asdict(engine.provenance),
            "trained_at": engine.provenance.trained_at.isoformat(),
            "trained_through": engine.provenance.trained_through.isoformat(),
        },
    }
    held = engine.reference
    np.savez_compressed(folder / REFERENCE_FILE, probabilities=held.probabilities, values=held.values, centre=held.centre)
    _write_golden(golden, folder)
    content["files"] = {path.name: _digest(path) for path in sorted(folder.iterdir()) if path.name != ENGINE_FILE}
    (folder / ENGINE_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def load_engine(folder: Path, version: str = "unregistered") -> Engine:
    """Raises ModelRefused where a file or a definition of a feature has changed, the format is another or the golden members disagree.

    Whatever stands in the folder, no code is run and no more memory is taken than its files are large.
    """
    with _refusing_malformed():
        return _loaded(folder, version)


def check_files(folder: Path) -> None:
    """Raises ModelRefused where a file is missing, strange or not as `engine.json` names it; what the files say is not looked at."""
    with _refusing_malformed():
        _check_files(read_json(plain_file(folder, ENGINE_FILE))["files"], folder)


@contextmanager
def _refusing_malformed() -> Iterator[None]:
    try:
        yield
    except MALFORMED as fault:
        why = f"{type(fault).__name__}: {fault}".partition("\n")[0][:200]
        message = f"the files of the engine do not fit each other ({why}); fetch the model again, or train again"
        raise ModelRefused(message) from fault


def _loaded(folder: Path, version: str) -> Engine:
    content = read_json(plain_file(folder, ENGINE_FILE))
    if content.get("format") != FORMAT:
        message = f"engine of format {content.get('format')}; this release reads format {FORMAT}; train again"
        raise ModelRefused(message)
    _check_files(content["files"], folder)
    engine = _engine_of(content, folder, version)
    if engine.spec.fingerprint != content["fingerprint"] or engine.spec != feature_spec(engine.community):
        message = "the feature definitions differ from those that the model was trained on; train again with this release"
        raise ModelRefused(message)
    read_golden(folder).verify(engine)
    return engine


def _write_golden(golden: Golden, folder: Path) -> None:
    arrays = {f"events_{name}": getattr(golden.events, name) for name in EVENT_FIELDS}
    arrays |= {f"snapshots_{name}": getattr(golden.snapshots, name) for name in SNAPSHOT_FIELDS}
    if golden.events.attributes is not None:
        arrays["attributes"] = np.array(attributes_to_json(golden.events.attributes))
        arrays["attribute_names"] = np.array(golden.events.attributes.columns)
    arrays |= {name: getattr(golden, name) for name in ("features", "probability", "value", "uplift")}
    np.savez_compressed(folder / GOLDEN_FILE, **arrays, allow_pickle=False)


def seal_of(folder: Path) -> str:
    """SHA-256 of `engine.json`, which names those of all other files; empty where there is none."""
    path = folder / ENGINE_FILE
    return _digest(path) if path.is_file() else ""


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check_files(stored: Mapping[str, str], folder: Path) -> None:
    """Before any of them is parsed: LightGBM does not survive every damaged text."""
    strange = {path.name for path in folder.iterdir()} - {ENGINE_FILE, *stored}
    if strange:
        raise ModelRefused(f'"{min(strange)}" is no file of the engine; fetch the model again, or train again')
    for name, digest in stored.items():
        if _digest(plain_file(folder, name)) != digest:
            raise ModelRefused(f'engine file "{name}" has changed since it was saved; fetch the model again, or train again')


def read_golden(folder: Path) -> Golden:
    stored = read_arrays(plain_file(folder, GOLDEN_FILE))
    columns: list[Any] = [stored[f"events_{name}"] for name in EVENT_FIELDS]
    events = EventArrays(*columns)
    if "attributes" in stored:
        attributes = attributes_from_json(stored["attributes"].tolist(), stored["attribute_names"].tolist())
        events = replace(events, attributes=attributes)
    snapshots = Snapshots(*(stored[f"snapshots_{name}"] for name in SNAPSHOT_FIELDS))
    return Golden(events, snapshots, stored["features"], stored["probability"], stored["value"], stored["uplift"])


def _engine_of(content: Mapping[str, Any], folder: Path, version: str) -> Engine:
    arrays = read_arrays(plain_file(folder, REFERENCE_FILE))
    probabilities, values, centre = arrays["probabilities"], arrays["values"], arrays["centre"]
    reference, provenance = content["reference"], content["provenance"]
    return Engine(
        community=Community.model_validate(content["community"]),
        spec=_spec_of(content["spec"]),
        churn=ChurnModel.from_dict(_boosters_from_files(content["churn"], folder)),
        value=value_from_dict(_boosters_from_files(content["value"], folder)),
        learned_uplift=None if content["uplift"] is None else LearnedUplift.from_dict(_boosters_from_files(content["uplift"], folder)),
        reference=Reference(reference["typical_probability"], probabilities, tuple(reference["band_edges"]), values, centre),
        provenance=Provenance(
            datetime.fromisoformat(provenance["trained_at"]),
            datetime.fromisoformat(provenance["trained_through"]),
            provenance["grade"],
            provenance["in_use"],
        ),
        baselines={name: HorizonModel.from_dict(stored) for name, stored in content["baselines"].items()},
        version=version,
        attributes=AttributeEncoding.from_list(content.get("attributes", ())),
    )


def _spec_of(stored: Mapping[str, Any]) -> FeatureSpec:
    signals = tuple(SignalUse(**use) for use in stored["signals"])
    return FeatureSpec(signals, tuple(stored["windows_days"]), stored["lookback_days"], stored["timezone"], stored["touches"])


def _boosters_to_files(stored: Any, folder: Path, name: str) -> Any:  # noqa: ANN401 - a JSON structure may hold anything
    """The same structure, with each LightGBM text in a file of its own named after its place."""
    if isinstance(stored, list):
        return [_boosters_to_files(part, folder, f"{name}_{position}") for position, part in enumerate(stored)]
    if not isinstance(stored, dict):
        return stored
    written = {key: _boosters_to_files(part, folder, f"{name}_{key}") for key, part in stored.items() if key != "model_text"}
    if "model_text" in stored:
        (folder / f"{name}.lgb.txt").write_text(stored["model_text"], encoding="utf-8")
        written["model_file"] = f"{name}.lgb.txt"
    return written


def _boosters_from_files(stored: Any, folder: Path) -> Any:  # noqa: ANN401 - as above
    if isinstance(stored, list):
        return [_boosters_from_files(part, folder) for part in stored]
    if not isinstance(stored, dict):
        return stored
    read = {key: _boosters_from_files(part, folder) for key, part in stored.items() if key != "model_file"}
    if "model_file" in stored:
        text = plain_file(folder, stored["model_file"]).read_text(encoding="utf-8")
        check_booster(text)
        read["model_text"] = text
    return read
