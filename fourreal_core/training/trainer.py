"""The training loop: one stage from its configuration to a model file, on one process or many through accelerate."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch

from ..errors import InputError
from ..model.model4d import Model4D
from ..progress import OnStep, no_progress
from .averaging import Average, learning_rate
from .batches import Batch, make_batch
from .data.cache import CachedGrids
from .objective import flow_distance, noisy_inputs, training_loss
from .optimizers import make_optimizer
from .options import TrainingConfig, TrainOptions
from .preparing import (
    check_base,
    check_data,
    check_space,
    choose_precision,
    choose_trained,
    compile_parts,
    starting_model,
    training_data,
)
from .run_log import RunLog, write_report
from .states import (
    RunState,
    load_state,
    optimizer_tensors,
    restore_optimizer,
    save_state,
    whole_states,
    whole_weights,
)
from .trainees import (
    Trainee,
    codec_of,
    has_one_level,
    kept,
    offsets_of,
    prediction_of,
    put_back,
    save_trained,
    with_weights,
)
from .validation import validate

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)
_MUST_AGREE = ("stage", "model", "data", "train", "base")
_MAY_CHANGE = {
    "steps",
    "micro_batch",
    "learning_rate",
    "warm_up",
    "last_rate",
    "precision",
    "checkpointing",
    "compile",
    "threads",
    "clip",
    "cache",
    "assets",
    "shards",
    "multicam",
    "videos",
    "exclude",
    "latents",
    "architecture",
    "tokenizer",
    "text_encoder",
}


def train_stage(config: TrainingConfig, on_step: OnStep = no_progress) -> dict[str, Any]:
    """Trains a stage, or goes on with it where it was stopped, and leaves ``model.safetensors`` in its folder.

    Args:
        config: The stage.
        on_step: Called after every step, now and then with a sample grid as the preview.

    Returns:
        A report: steps, seconds, the last loss, what was skipped, figures on held-out grids.

    Raises:
        InputError: Anything that does not fit, before the first step; later a loss that is no longer a number or a
            full disk, with the last good checkpoint kept.
    """
    run = _Run(config)
    start, seconds = run.step, perf_counter()
    try:
        for step, batch in run.batches():
            preview = run.one_step(step, batch)
            on_step(step + 1, config.train.steps, preview)
    finally:
        run.log.close()
    return run.finish(run.step - start, perf_counter() - seconds)


class _Run:
    """A stage while it is trained."""

    def __init__(self, config: TrainingConfig) -> None:
        if config.train.threads:
            torch.set_num_threads(config.train.threads)
        self.config, self.accelerator = config, _accelerator()
        check_base(config)
        if config.base.transformer:
            from .estimate import check_memory, free_memory  # loads parts of PyTorch that nothing else needs

            check_memory(config, *free_memory(self.accelerator.device))
        self.source = training_data(config)
        check_data(config, self.source)
        self.model = starting_model(config)
        self.trained = choose_trained(self.model, config)
        if config.train.compile:
            compile_parts(self.model, self.accelerator.device)
        check_space(config.folder, self.model, config.run.keep)
        self.codec = codec_of(config)
        self.loss, self.step, self.seconds, self.cells = math.nan, 0, 0.0, 0
        self.figures: dict[str, float] = {}
        if config.train.batch % self.accelerator.num_processes:
            raise InputError(
                f"a batch of {config.train.batch} over {self.accelerator.num_processes} processes",
                "a multiple of them",
                "change train.batch",
            )
        self._prepare(self._last_state())
        self.log = RunLog(config.folder, self.step, self.main, config.run.tensorboard)
        if self.main:
            write_report(config.folder / "config.json", config.summary())
        self.held_out = self._held_out()

    def _prepare(self, state: RunState | None) -> None:
        """Spreads model and optimizer over the processes, where the last checkpoint left them."""
        train, accelerator = self.config.train, self.accelerator
        if state:
            self.precision = state.facts["precision"]
            put_back(self.model, state.weights, "the checkpoint")
        else:
            self.precision = choose_precision(self.config, self.model, self.source, accelerator.device)
            self.precision = _of_the_main(self.precision, accelerator)
        groups = [
            {"params": part, "weight_decay": decay}
            for part, decay in (
                ([p for p in self.trained.values() if p.ndim > 1], train.weight_decay),
                ([p for p in self.trained.values() if p.ndim <= 1], 0.0),
            )
            if part
        ]
        optimizer = make_optimizer(groups, train)
        self.wrapped, self.optimizer = accelerator.prepare(self.model, optimizer)
        inner = dict(accelerator.unwrap_model(self.wrapped).named_parameters())
        self.trained = {name: inner[name] for name in self.trained}  # other objects where they are spread
        self.average = Average(train.ema, self.trained) if train.ema else None
        if state:
            if self.average:
                self.average.set(state.average)
            restore_optimizer(self.wrapped, self.optimizer.optimizer, state.optimizer)
            self.step = state.step

    @property
    def main(self) -> bool:
        """Whether this process writes."""
        return bool(self.accelerator.is_main_process)

    @property
    def places(self) -> range:
        """The items of a batch that are this process's."""
        share = self.config.train.batch // self.accelerator.num_processes
        return range(share * self.accelerator.process_index, share * (self.accelerator.process_index + 1))

    def batches(self) -> Iterator[tuple[int, list[Batch]]]:
        """The rest of the steps, each with its parts; the next one is read while one is computed."""
        steps = range(self.step, self.config.train.steps)
        with ThreadPoolExecutor(1, thread_name_prefix="data") as reader:
            ahead = reader.submit(self._read, self.step) if steps else None
            for step in steps:
                assert ahead is not None  # there is a step, so its batch was asked for
                batch = ahead.result()
                ahead = reader.submit(self._read, step + 1) if step + 1 < steps.stop else None
                yield step, batch

    def _read(self, step: int) -> list[Batch]:
        places, size = self.places, self.config.train.micro_batch
        return [make_batch(self.config, self.source, step, places[i : i + size]) for i in range(0, len(places), size)]

    def one_step(self, step: int, parts: list[Batch]) -> torch.Tensor | None:
        """Takes one optimizer step, and what is due after it; returns a sample grid if one was made.

        Raises:
            InputError: The loss or the gradient is no longer a number.
        """
        start, train = perf_counter(), self.config.train
        rate = learning_rate(train, step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        total = torch.zeros((), device=self.accelerator.device)
        for i, part in enumerate(parts):
            last = i + 1 == len(parts)
            share = len(part.known) / len(self.places)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                loss, flow_loss = self._loss(part, step)
                self.accelerator.backward((loss + flow_loss) * share)
            total += loss.detach() * share
        self.loss = float(self.accelerator.reduce(total, "mean"))
        norm = float(self.accelerator.clip_grad_norm_(self.trained.values(), train.clip))
        if not (math.isfinite(self.loss) and math.isfinite(norm)):
            raise InputError(
                f"a loss of {self.loss} with a gradient of {norm} in step {step}",
                "finite numbers",
                f"lower train.learning_rate and start again: it goes on from the last good checkpoint in "
                f"{self.config.folder}",
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update(self.trained, step)
        self.step = step + 1
        self.seconds += perf_counter() - start
        return self._after(rate, norm, sum(p.known.numel() for p in parts))

    def _loss(self, part: Batch, step: int) -> tuple[torch.Tensor, torch.Tensor | float]:
        """The objective, and the supervision of the warp head's offsets where the batch has true flows."""
        inputs, clean, noise = noisy_inputs(part, self.codec, has_one_level(self.model))
        device = self.accelerator.device
        inputs = inputs._replace(**{name: x.to(device) for name, x in inputs._asdict().items() if x is not None})
        watched: contextlib.AbstractContextManager[list[torch.Tensor]] = contextlib.nullcontext([])
        if part.flows is not None:
            watched = offsets_of(self.model)
        with (
            torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"),
            watched as offsets,
        ):
            drawn = self.wrapped(inputs)
        loss = training_loss(
            drawn, clean.to(device), noise.to(device), part, prediction_of(self.model), self.config.train
        ).mean()
        if part.flows is None:
            return loss, 0.0
        flows = part.flows.to(device)
        away = flow_distance(offsets[0].view(flows.shape), flows, inputs.known).mean()
        return loss, self.config.train.flow_weight * (1 - step / self.config.train.flow_steps) * away

    def _after(self, rate: float, norm: float, cells: int) -> torch.Tensor | None:
        run, step, preview = self.config.run, self.step, None
        end = step == self.config.train.steps
        self.cells += cells * self.accelerator.num_processes
        if self.main and (step % run.log_every == 0 or end):
            self.log.line(
                step,
                loss=self.loss,
                learning_rate=rate,
                gradient=norm,
                seconds=round(self.seconds, 3),
                images_per_second=round(self.cells / max(self.seconds, 1e-9), 2),
            )
        due = [bool(every) and (step % every == 0 or end) for every in (run.sample_every, run.validate_every)]
        if any(due) and self.held_out is not None:
            model = self.averaged()
            if isinstance(model, Model4D):
                figures, sample = validate(self.config, model, self.held_out, run.validation if due[1] else 1)
                if due[1]:
                    self.figures = figures
                    self.log.line(step, **figures)
                if due[0]:
                    preview = self.log.sample(step, *sample)
        if step % run.checkpoint_every == 0 or end:
            self.save()
        return preview

    def averaged(self) -> Trainee | None:
        """A copy of the model with its averaged weights, in the main process; all have to ask."""
        weights = whole_weights(self.wrapped)
        average = {name: _whole(w) for name, w in self.average.weights.items()} if self.average else {}
        if not self.main:
            return None
        weights |= {name: w.to(weights[name].dtype) for name, w in average.items()}
        return with_weights(self.model, kept(self.model, weights))

    def save(self) -> None:
        """Writes a checkpoint; all processes take part, the main one writes."""
        average = {k: _whole(w) for k, w in self.average.weights.items()} if self.average else {}
        state = RunState(
            self.step,
            kept(self.model, whole_weights(self.wrapped)),
            average,
            optimizer_tensors(self.wrapped, self.optimizer.optimizer),
            {"config": self.config.summary(), "precision": self.precision},
        )
        if self.main:
            save_state(self.config.folder / "checkpoints", state, self.config.run.keep)
        self.accelerator.wait_for_everyone()

    def finish(self, steps: int, seconds: float) -> dict[str, Any]:
        """Writes the averaged model and the report."""
        model, config = self.averaged(), self.config
        report = {
            "stage": config.stage,
            "steps": self.step,
            "steps_now": steps,
            "seconds": seconds,
            "loss": self.loss,
            "precision": self.precision,
            "skipped": self.source.skipped.reasons,
            **self.figures,
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "trained": sum(p.numel() for p in self.trained.values()),
        }
        if model is not None:
            header = {"stage": config.stage, "steps": str(self.step)}
            report["model"] = str(save_trained(config.folder, model, header, config.train.trains == "sync"))
            if steps or not (config.folder / "report.json").exists():
                write_report(config.folder / "report.json", report)
        return report

    def _last_state(self) -> RunState | None:
        for path in reversed(whole_states(self.config.folder / "checkpoints")):
            try:
                state = load_state(path)
            except InputError as err:
                log.warning("%s", err)
                continue
            _same_run(self.config, state)
            return state
        return None

    def _held_out(self) -> CachedGrids | None:
        if not (self.config.data.cache and self.config.run.validation and isinstance(self.model, Model4D)):
            return None
        try:
            return CachedGrids(self.config.data.cache, "validation")
        except InputError as err:
            log.warning("no figures on held-out grids: %s", err)
            return None


def _same_run(config: TrainingConfig, state: RunState) -> None:
    """Refuses to go on with a run that was started otherwise."""
    import json

    old, new = state.facts["config"], json.loads(json.dumps(config.summary()))
    added = {"train": asdict(TrainOptions())}  # what came with a later version was as by default
    different = []
    for section in _MUST_AGREE:
        a, b = old[section], new[section]
        if isinstance(a, dict):
            a = added.get(section, {}) | a
            different += [
                f"{section}.{k}" for k in sorted(set(a) | set(b)) if a.get(k) != b.get(k) and k not in _MAY_CHANGE
            ]
        elif a != b:
            different.append(section)
    if different:
        raise InputError(
            f"a run in {config.folder} that was started with another {', '.join(different)}",
            "the same settings to go on",
            "choose another run.out, or remove that folder to start anew",
        )


def _accelerator() -> Accelerator:
    try:
        from accelerate import Accelerator
    except ImportError as err:
        raise InputError("no package accelerate", "what training needs", "pip install comfyui-4real[train]") from err
    return Accelerator(cpu=not torch.cuda.is_available())


def _of_the_main(value: str, accelerator: Accelerator) -> str:
    """What the main process says, in all of them."""
    from accelerate.utils import broadcast_object_list

    return broadcast_object_list([value])[0] if accelerator.num_processes > 1 else value


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be spread over processes, on the CPU."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().cpu()
