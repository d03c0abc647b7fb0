"""Lightning's Trainer for a run: callbacks, loggers, the way of stepping, the last checkpoints."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import StochasticWeightAveraging
from lightning.pytorch.loggers import Logger
from torch import nn

from fmnist.config.build import build_node, maker
from fmnist.config.check import TESTED
from fmnist.data.datamodule import ImageData
from fmnist.errors import ConfigError
from fmnist.process.machine import processor_name
from fmnist.runs.record import Record
from fmnist.runs.run import Run
from fmnist.training.callbacks import (
    Checkpoint,
    EpochBar,
    RecordEpochs,
    ResumableEarlyStopping,
    StopAfterStep,
)
from fmnist.training.checkpoint import AtomicCheckpointIO
from fmnist.training.classifier import Classifier
from fmnist.training.ddp import EndOnSigterm, StartedHere
from fmnist.training.grouped import (
    GroupedClassifier,
    GroupedData,
    scales,
    single_steps_because,
)
from fmnist.training.metrics_file import KeepRows

log = logging.getLogger(__name__)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def build_trainer(
    config: dict[str, Any],
    precision: str,
    loggers: list[Logger],
    checkpoints: Path,
    run: Run | None,
) -> Trainer:
    """Lightning's Trainer, as a configuration has it.

    Args:
        precision: by Lightning's name of it.
        loggers: opened.
        checkpoints: folder for best.ckpt and last.ckpt.
        run: whose record is to be kept up to date; None in the extra processes of DDP.

    Raises:
        ConfigError: a gradient that only the optimiser unscales is to be clipped.
    """
    settings = dict(config["trainer"])
    if settings.get("gradient_clip_val") is None:
        settings["gradient_clip_val"] = config["gradient_clip_val"]
    if settings.get("max_epochs") is None:
        settings["max_epochs"] = -1  # until something else ends it; Lightning's own default is 1000
    for key, words in TESTED.items():
        word = settings.get(key.rpartition(".")[2], words[0])
        if word not in words:
            log.warning("WARNING %s=%s: Lightning's, and not tested here", key, word)
    quiet = {"enable_model_summary": False, "log_every_n_steps": 0, "num_sanity_val_steps": 0}
    trainer: Trainer = maker(quiet | settings | {"precision": precision})(
        logger=loggers,
        callbacks=callbacks_of(config, checkpoints, run),
        default_root_dir=checkpoints.parent,
        enable_progress_bar=False,  # Lightning's own bar
        use_distributed_sampler=False,  # the data module shares out the batches itself
        # Where Lightning sees Slurm, it would wait for Slurm to start the other processes, and
        # requeue jobs beside the launcher.
        plugins=[StartedHere(), AtomicCheckpointIO()],
    )
    clip = trainer.gradient_clip_val
    if clip and config["optim"].get("fused") and scales(trainer):  # on a GPU: known only now
        raise ConfigError(
            f"optim.fused=true: should be false where gradient_clip_val={clip} and "
            f"trainer.precision={trainer.precision}: a fused step takes scaled gradients"
        )
    return trainer


def callbacks_of(config: dict[str, Any], checkpoints: Path, run: Run | None) -> list[Callback]:
    """What happens beside training; the arguments are those of `build_trainer`."""
    # Two of them: with save_last=True Lightning writes last.ckpt only when the best one changes.
    # The last one is of an epoch's end, where a run can go on; the best one of any validation.
    # Lightning takes an evaluation after every batch, 1, for one after every epoch, 1.0.
    batches = isinstance(config["trainer"].get("val_check_interval"), int)
    callbacks: list[Callback] = [
        Checkpoint(
            checkpoints,
            "best",
            monitor="val/acc",
            mode="max",
            enable_version_counter=False,
            save_on_train_epoch_end=False if batches else None,
        ),
        Checkpoint(checkpoints, "last", enable_version_counter=False, save_on_train_epoch_end=True),
        EpochBar(config["trainer"].get("enable_progress_bar") is not False),
        StopAfterStep(),
        EndOnSigterm(),
    ]
    if config["patience"] is not None:
        patience = config["patience"]  # validations, also where they are not the epochs
        callbacks.append(
            ResumableEarlyStopping(
                "val/acc", mode="max", patience=patience, check_on_train_epoch_end=False
            )
        )
    if run is not None:
        callbacks += [RecordEpochs(run), KeepRows()]
    return [*callbacks, *(build_node(node) for node in config["callbacks"].values())]


def in_groups(
    config: dict[str, Any], trainer: Trainer, classifier: Classifier, data: ImageData
) -> tuple[Classifier, ImageData]:
    """Module and data as they train fastest: see `fmnist.training.grouped`.

    Raises:
        ConfigError: a callback averages weights where nothing would validate or keep them.
    """
    refuse_late_average(trainer, classifier)
    steps = config["steps_per_execution"]
    if steps == 1:
        return classifier, data
    if reason := single_steps_because(trainer, classifier, config["trainer"]):
        log.info("steps   one by one, not %d in a call: %s looks at each", steps, reason)
        return classifier, data
    clip, algorithm = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
    trainer.gradient_clip_val = None  # the module does it
    return GroupedClassifier(classifier, clip, algorithm), GroupedData(data, steps)


def refuse_late_average(trainer: Trainer, classifier: Classifier) -> None:
    """Lightning gives a net without batch norm its average after the last validation.

    Raises:
        ConfigError: naming what is validated and kept instead.
    """
    averages = any(isinstance(one, StochasticWeightAveraging) for one in trainer.callbacks)  # type: ignore[attr-defined]
    if averages and not any(isinstance(part, BATCH_NORMS) for part in classifier.net.modules()):
        raise ConfigError(
            "callbacks: StochasticWeightAveraging: should be ema_decay, such as 0.99, in a net "
            "without batch norm, to which it gives its average when all validation is over"
        )


def say_what_was_found(config: dict[str, Any], classifier: Classifier, data: ImageData) -> None:
    """A callback may have trained with other settings than the record's: Lightning's finders do."""
    for group, key, used in (
        ("data", "batch_size", data.batch_size),
        ("optim", "lr", classifier.lr),
    ):
        if (given := config[group].get(key)) not in (None, used):
            words = "a callback trained with %s instead, and the record has the setting"
            log.warning(f"WARNING %s.%s=%s: {words}", group, key, given, used)


def close(trainer: Trainer, module: Classifier, data: ImageData, checkpoints: Path) -> None:
    """A validation of what was trained after the last one; both checkpoints, however short the run.

    Steps and epochs may end between two validations, and `fast_dev_run` writes no checkpoint. The
    last one is written last: a run that is killed here is validated again.
    """
    unseen = module.open_row is not None
    if unseen:
        trainer.validate(module, data, verbose=False)
    best = max(module.history, key=lambda row: row["val/acc"])  # the first of equals
    for name, wanted in (("best", unseen and best is module.history[-1]), ("last", unseen)):
        path = checkpoints / f"{name}.ckpt"
        if wanted or not trainer.strategy.broadcast(path.exists()):
            trainer.save_checkpoint(path)


def on_machine(record: Record, trainer: Trainer) -> Record:
    """The record, with what the run computes on."""
    device = trainer.strategy.root_device
    name = processor_name()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    return replace(
        record,
        device=f"{device.type} ({name})",
        devices=trainer.world_size,
        threads=torch.get_num_threads(),
        precision=str(trainer.precision),  # fp16 on a CPU becomes bf16: say what is used
    )
