"""A comparison of variants that share one base: which stages each takes, trained one after another, each with the same
budget. A comparison is one TOML file: the sections of a training configuration, ``[evaluate]``, and ``[[rows]]``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...model.model4d import Model4D
from ...model.model_file import load_model
from ...progress import StageFactory, no_stages
from ..config_file import parse_config, parse_toml
from ..options import STAGES, TrainingConfig
from ..trainees import MODEL_FILE
from ..trainer import train_stage

_TRAINING = ("model", "data", "train", "run")


@dataclass(frozen=True)
class Row:
    """A variant of the comparison.

    Attributes:
        name: As in the table.
        variant: One of spec.MODEL_VARIANTS.
        dropped: Sync layers left out.
        trains: What of it is trained, see TrainOptions.
        stages: Trained in this order from the base on; none for an untrained variant.
        weights: A model file that was trained elsewhere, such as the refiner; then nothing is trained here.
    """

    name: str
    variant: str = "soft"
    dropped: str = "none"
    trains: str = "sync"
    stages: tuple[str, ...] = ()
    weights: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        wrong = [stage for stage in self.stages if stage not in STAGES or stage == "base"]
        if wrong or (self.weights and self.stages):
            raise InputError(
                f"the row {self.name!r} with the stages {list(self.stages)}",
                "stages after the base, or weights and no stages",
                "change its stages",
            )


@dataclass(frozen=True)
class EvaluateOptions:
    """What rows are measured on.

    Attributes:
        split: Whose seeds of the cache.
        grids: How many.
        steps: Sampling steps; 1 is the first guess at noise level 1, the mean of what a model holds for possible.
        seed: Of the noise.
        geometric: How many of the grids the geometric proposal is made of, which takes long; all of them by default.
    """

    split: str = "test"
    grids: int = 64
    steps: int = 1
    seed: int = 0
    geometric: int = 1_000_000


@dataclass(frozen=True)
class Ablation:
    """A comparison, read from its file.

    Attributes:
        sections: Of the training configuration, as in the file.
        evaluate: What rows are measured on.
        rows: The variants, in the table's order.
    """

    sections: Mapping[str, Mapping[str, Any]]
    evaluate: EvaluateOptions = field(default_factory=EvaluateOptions)
    rows: tuple[Row, ...] = ()

    @property
    def out(self) -> Path:
        """Folder of everything that is trained."""
        return Path(self.sections.get("run", {}).get("out", "runs/ablations"))

    @property
    def base_file(self) -> Path:
        """The trained base that all rows share."""
        return self.out / "base" / MODEL_FILE

    def base_config(self) -> TrainingConfig:
        """How the base is trained."""
        return self._config("base", {"run.out": str(self.out)})

    def stage_config(self, row: Row, place: int) -> TrainingConfig:
        """How stage ``place`` of a row is trained, from what the stage before it left.

        Rows that begin alike share those stages, so a stage's folder is named by all that led to it.
        """
        start = self.stage_config(row, place - 1).folder / MODEL_FILE if place else self.base_file
        special = [part for part, usual in ((row.dropped, "none"), (row.trains, "sync")) if part != usual]
        parts = [row.variant, *special, *row.stages[: place + 1]]
        return self._config(
            row.stages[place],
            {
                "model.variant": row.variant,
                "model.dropped": row.dropped,
                "train.trains": row.trains,
                "train.seed": self.sections["train"].get("seed", 0)
                + place,  # a stage that is repeated sees other scenes
                "run.out": str(self.out / "-".join(parts)),
                "run.start": str(start),
            },
        )

    def model_file(self, row: Row) -> Path:
        """The weights that a row is measured with."""
        if row.weights:
            return Path(row.weights)
        return self.stage_config(row, len(row.stages) - 1).folder / MODEL_FILE if row.stages else self.base_file

    def model(self, row: Row) -> Model4D:
        """A row's model, ready to be measured.

        Raises:
            InputError: It is not trained yet.
        """
        model = load_model(self.model_file(row))
        return model if row.weights or row.stages else model.with_variant(row.variant, row.dropped)

    def digest(self, row: Row) -> str:
        """A name for what a row's figures depend on: its weights, its variant, and what it is measured on."""
        on = self.evaluate
        said = [
            row.variant,
            row.dropped,
            on.split,
            on.grids,
            on.steps,
            on.seed,
            hashlib.sha256(self.model_file(row).read_bytes()).hexdigest(),
        ]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]

    def _config(self, stage: str, changes: Mapping[str, Any]) -> TrainingConfig:
        flat: dict[str, Any] = {}
        for section, values in self.sections.items():
            of_stages = {name: dict(values[name]) for name in STAGES if name in values}
            plain = {key: value for key, value in values.items() if key not in of_stages}
            flat |= {f"{section}.{key}": value for key, value in (plain | of_stages.get(stage, {})).items()}
        return parse_config("", stage, "the comparison", flat | dict(changes))


def read_ablation(path: Path | str, changes: Mapping[str, Any] | None = None) -> Ablation:
    """Reads a comparison.

    Args:
        path: TOML file.
        changes: Values by dotted name that win, such as ``{"data.cache": "cache64"}``.

    Raises:
        InputError: A file that can't be read, or unknown sections, keys or values.
    """
    try:
        found = parse_toml(Path(path).read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as err:
        raise InputError(f"the comparison {path} can't be read ({err})", "a TOML file", "check its name") from err
    for dotted, value in (changes or {}).items():
        section, _, key = dotted.partition(".")
        found.setdefault(section, {})[key] = value
    unknown = sorted(set(found) - {*_TRAINING, "evaluate", "rows"})
    try:
        rows = tuple(Row(**row) for row in found.get("rows", ()))
        evaluate = EvaluateOptions(**found.get("evaluate", {}))
    except TypeError as err:
        known = [f.name for kind in (Row, EvaluateOptions) for f in fields(kind)]
        raise InputError(f"{path}: {err}", ", ".join(known), "check the key's name") from err
    if unknown or not rows or len({row.name for row in rows}) < len(rows):
        raise InputError(
            f"{path} with the sections {', '.join(unknown) or 'known'} and {len(rows)} rows",
            "model, data, train, run, evaluate, and [[rows]] of different names",
            "change it",
        )
    ablation = Ablation({name: found.get(name, {}) for name in _TRAINING}, evaluate, rows)
    ablation.base_config()
    for row in rows:
        for place in range(len(row.stages)):
            ablation.stage_config(row, place)
    return ablation


def train_rows(
    ablation: Ablation,
    names: set[str] | None = None,
    stages: StageFactory = no_stages,
    on_stage: Callable[[str, dict[str, Any]], None] | None = None,
) -> None:
    """Trains the base and then every row, or goes on where that was stopped; what is finished is left as it is.

    Args:
        ablation: The comparison.
        names: Rows to train; all when None.
        stages: Gives the progress callback of every stage.
        on_stage: Called with a stage's folder and report when it is finished.

    Raises:
        InputError: A row of another name; whatever stops a stage.
    """
    unknown = (names or set()) - {row.name for row in ablation.rows}
    if unknown:
        raise InputError(f"no rows {sorted(unknown)}", ", ".join(row.name for row in ablation.rows), "check the names")
    todo = [ablation.base_config()]
    for row in ablation.rows:
        if names is None or row.name in names:
            todo += [ablation.stage_config(row, place) for place in range(len(row.stages))]
    for config in todo:
        if not _finished(config):
            report = train_stage(config, stages(str(config.folder)))
            if on_stage:
                on_stage(str(config.folder), report)


def _finished(config: TrainingConfig) -> bool:
    try:
        report = json.loads((config.folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return report.get("steps") == config.train.steps and (config.folder / MODEL_FILE).is_file()
