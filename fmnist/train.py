"""`python -m fmnist.train`: one run, from a configuration to a run directory.

compose (Hydra) -> check -> build -> fit -> test -> record. Nothing heavy is imported before the
configuration is known to be good.
"""

import io
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from fmnist.config.arguments import order_arguments
from fmnist.config.build import build, maker
from fmnist.config.check import check
from fmnist.config.devices import check_devices
from fmnist.config.explain import fail, own_line
from fmnist.config.schema import CONF_DIR, config_hash
from fmnist.process.machine import processor_name
from fmnist.process.terminal import forgiving_terminal, say
from fmnist.runs.before import remove_untouched
from fmnist.runs.job import Job, hide_from_help, hydra_job
from fmnist.runs.record import RESULT, Record, known
from fmnist.runs.run import (
    PREDICTIONS,
    Run,
    load_run,
    locked,
    recorded,
    signal_exit_code,
    start_run,
    write_atomically,
)
from fmnist.runs.text import announcement, metrics_table, totals_line
from fmnist.sweeps import names  # noqa: F401 (conf/config.yaml names its resolvers)
from fmnist.sweeps.process import run_cell

if TYPE_CHECKING:
    from lightning.pytorch import Callback, Trainer
    from lightning.pytorch.loggers import Logger

    from fmnist.data.datamodule import ImageData
    from fmnist.training.classifier import Classifier

log = logging.getLogger(__name__)


def train(config: dict[str, Any], job: Job) -> float:
    """Train, validate and test one net; leave its run directory. The highest val/acc.

    Args:
        config: checked and resolved, see `fmnist.config.check.check`.
        job: where the run goes and what it is called.

    Raises:
        UserError: no data, a diverged loss, or a directory that holds a run already.
    """
    began = time.perf_counter()
    with locked(job.dir):
        send_library_messages_to_log()
        data = build_data(config)
        try_net(config, data)
        new = Record(
            status="running",
            config_hash=config_hash(config),
            command=job.command,
            choices=job.choices,
            overrides=list(job.overrides),
            group=job.group,
            config=config,
            seed=config["seed"],
            dataset=data.load(),
        )
        run = start_run(job.dir, new)
        with recorded(run), open_loggers(config, job, run) as loggers:
            trainer, classifier = fit(config, data, loggers, run.checkpoints, run)
            test(run, trainer, classifier, data)
            finish(run, trainer, data, loggers, time.perf_counter() - began)
    return run.record.metrics["val/acc_best"]


def train_beside() -> None:
    """Another process of a run on several devices, see `fmnist.training.ddp`: it only trains."""
    from fmnist.training.ddp import beside_main_process

    with beside_main_process():
        send_library_messages_to_log()
        logging.disable()
        run = load_run(sys.argv[1])
        fit(run.config, build_data(run.config), [], run.checkpoints)


@contextmanager
def open_loggers(config: dict[str, Any], job: Job, run: Run) -> "Iterator[list[Logger]]":
    """metrics.csv, always, and the dashboard that the configuration names, around one run."""
    from lightning.pytorch.loggers import CSVLogger

    from fmnist.tracking.dashboard import open_dashboard

    with open_dashboard(maker(config["logger"])(job, config), run) as dashboard:
        csv = CSVLogger(job.dir, name="", version="", flush_logs_every_n_steps=1)
        yield [csv, dashboard] if dashboard else [csv]


def send_library_messages_to_log() -> None:
    """Warnings and Lightning's messages: for train.log, not for the terminal.

    conf/config.yaml gives both loggers the file as their only handler; Lightning adds a console.
    """
    logging.captureWarnings(True)
    # The run directory is never empty, and metrics.csv is the only file that would be deleted.
    warnings.filterwarnings("ignore", message="Experiment logs directory .* exists")
    # Lightning's, wherever Slurm is installed; here a cluster's job is one process, see `fit`.
    warnings.filterwarnings("ignore", message="The `srun` command is available")
    import fmnist.process.startup  # noqa: F401 (before what it quickens)

    # isort: split
    import lightning

    logger = logging.getLogger(lightning.__name__)
    for handler in [h for h in logger.handlers if type(h) is logging.StreamHandler]:
        logger.removeHandler(handler)


def build_data(config: dict[str, Any]) -> "ImageData":
    """The data module, loaded: what is wrong with the data shows before anything is built."""
    augment = build(config["aug"])
    data: ImageData = maker(config["data"])(
        augment=augment, seed=config["seed"], steps_per_execution=config["steps_per_execution"]
    )
    data.load()
    return data


def try_net(config: dict[str, Any], data: "ImageData") -> None:
    """What is wrong with the net shows before there is a record.

    Raises:
        ConfigError: it cannot be built, or takes no such images; see `fmnist.training.preflight`.
    """
    from fmnist.training import preflight

    pixels, facts = data.train_images.pixels, data.load()
    shape = (1, *pixels.shape[1:])
    preflight.try_net(lambda: build(config["model"]), shape, len(facts.classes))


def fit(
    config: dict[str, Any],
    data: "ImageData",
    loggers: "list[Logger]",
    checkpoints: Path,
    run: Run | None = None,
) -> "tuple[Trainer, Classifier]":
    """Build net and trainer, and train.

    Args:
        checkpoints: folder for best.ckpt and last.ckpt.
        run: the record to keep up to date; None in the extra processes of DDP.
    """
    from lightning.pytorch import seed_everything

    from fmnist.training.classifier import Classifier, flops, parameter_count
    from fmnist.training.ddp import other_processes
    from fmnist.training.precision import chosen_formats

    seed_everything(config["seed"], workers=True, verbose=False)
    net = build(config["model"])
    params, operations = parameter_count(net), flops(net)
    settings = config["trainer"]
    precision, channels_last = chosen_formats(
        settings.get("precision", "auto"),
        config["channels_last"],
        operations,
        settings.get("accelerator", "auto"),
    )
    classifier = Classifier(
        net,
        build(config["optim"]),
        build(config["scheduler"]),
        config["label_smoothing"],
        channels_last,
        config["gradient_clip_val"],
        config["tta"],
        config["ema_decay"],
    )
    trainer = build_trainer(config, precision, loggers, checkpoints, run)
    if run is not None:
        run.record = on_machine(run.record, trainer)
        run.write(replace(run.record, params=params, flops=operations, channels_last=channels_last))
        log.info("%s", announcement(run.record, type(net).__name__, run.dir))
    # Lightning's, for processes that fork later. Torch's optimisers ask for a GPU in every step,
    # and with it look for NVIDIA's library anew each time: 0.06 ms.
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    last = checkpoints / "last.ckpt"
    with other_processes(trainer, run):
        trainer.fit(classifier, data, ckpt_path=last if last.exists() else None, weights_only=True)
    classifier.log_rows()  # of a run that was stopped after its last epoch, nothing starts
    return trainer, classifier


def build_trainer(
    config: dict[str, Any],
    precision: str,
    loggers: "list[Logger]",
    checkpoints: Path,
    run: Run | None,
) -> "Trainer":
    """Lightning's Trainer; the arguments are those of `fit`, and the number format."""
    from fmnist.training.checkpoint import AtomicCheckpointIO
    from fmnist.training.ddp import StartedHere

    trainer: Trainer = maker(config["trainer"] | {"precision": precision})(
        logger=loggers,
        callbacks=callbacks_of(config, checkpoints, run),
        default_root_dir=checkpoints.parent,
        enable_progress_bar=False,  # Lightning's own bar
        enable_model_summary=False,
        log_every_n_steps=0,  # steps log nothing; the classifier logs epochs
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # the data module shares out the batches itself
        # Where Lightning sees Slurm, it would wait for Slurm to start the other processes, and
        # requeue jobs beside the launcher.
        plugins=[StartedHere(), AtomicCheckpointIO()],
    )
    return trainer


def callbacks_of(config: dict[str, Any], checkpoints: Path, run: Run | None) -> "list[Callback]":
    """What happens beside training; the arguments are those of `fit`."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    from fmnist.training.callbacks import (
        EpochBar,
        RecordEpochs,
        ResumableEarlyStopping,
        StopAfterStep,
    )
    from fmnist.training.ddp import EndOnSigterm

    # Two of them: with save_last=True Lightning writes last.ckpt only when the best one changes.
    callbacks: list[Callback] = [
        ModelCheckpoint(
            checkpoints, "best", monitor="val/acc", mode="max", enable_version_counter=False
        ),
        ModelCheckpoint(checkpoints, "last", enable_version_counter=False),
        EpochBar(),
        StopAfterStep(),
        EndOnSigterm(),
    ]
    if config["patience"] is not None:
        callbacks.append(ResumableEarlyStopping("val/acc", mode="max", patience=config["patience"]))
    if run is not None:
        callbacks.append(RecordEpochs(run))
    return callbacks


def on_machine(record: Record, trainer: "Trainer") -> Record:
    """The record, with what the run computes on."""
    import torch

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


def test(run: Run, trainer: "Trainer", classifier: "Classifier", data: "ImageData") -> None:
    """Read the test set, once, with the checkpoint that validation chose and with the last one."""
    import numpy as np

    from fmnist.training.classifier import loss_and_accuracy, predict

    rows = classifier.history
    best = max(range(len(rows)), key=lambda epoch: rows[epoch]["val/acc"])  # the first of equals
    device = trainer.strategy.root_device
    batches = data.test_batches(device)
    metrics: dict[str, float] = {"val/acc_best": rows[best]["val/acc"]}
    for which, epoch, suffix in (("best", best, ""), ("last", len(rows) - 1, "_last")):
        if which == "best" or epoch != best:  # else they have the same weights
            logits, labels = predict(run.net(which), batches, device, **run.formats())  # type: ignore[arg-type]
            loss, accuracy = loss_and_accuracy(logits, labels)
        for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
            metrics[name + suffix] = rows[epoch][name]
        metrics |= {f"test/loss{suffix}": loss, f"test/acc{suffix}": accuracy}
        if which == "best":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, logits=logits.numpy(), labels=labels.numpy())
            write_atomically(run.dir / PREDICTIONS, buffer.getvalue())
    run.write(replace(run.record, best_epoch=best, metrics=metrics, tested_at=time.time()))


def finish(
    run: Run, trainer: "Trainer", data: "ImageData", loggers: "list[Logger]", seconds: float
) -> None:
    """Write the record's last state and show it; then tell the dashboard, if there is one."""
    record, metrics = run.record, run.record.metrics
    # Not the chosen epoch's validation metrics: they would bend the curves at their end.
    summary = {name: value for name, value in metrics.items() if name.startswith("test/")} | {
        "val/acc_best": metrics["val/acc_best"],
        "model/params": known(record.params),
        "train/seconds": sum(row.seconds for row in record.epochs),
    }
    csv, *dashboards = loggers
    csv.log_metrics(summary, step=trainer.global_step)
    csv.save()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on macOS
    run.write(
        replace(
            record,
            status="finished",
            train_seconds=summary["train/seconds"],
            seconds=seconds,
            peak_memory_mib=peak / (1024**2 if sys.platform == "darwin" else 1024),
        )
    )
    log.info("%s", metrics_table(metrics, known(record.best_epoch), len(record.epochs)))
    log.info("%s", totals_line(run.record, run.dir))
    for dashboard in dashboards:
        dashboard.publish(summary, trainer.global_step, data)  # type: ignore[attr-defined]


@hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")
def hydra_main(config: DictConfig) -> float:
    """Hydra's entry: composes, makes the run directory and its log, calls this once a job."""
    job = hydra_job()
    os.chdir(job.cwd)  # hydra.job.chdir: relative paths of settings are the launch folder's
    if job.group is not None:
        checked = check(config)
        check_devices(checked)  # of the machine that this is, which may not be the sweep's
        return run_cell(train, checked, job)
    try:
        return train(check(config), job)
    except BaseException as error:
        code = end(error, job)
        remove_untouched(job.dir, job.log)
        raise SystemExit(code) from error


def end(error: BaseException, job: Job) -> int:
    """Say how a single run ended that did not come to its end. The command's exit code."""
    code = signal_exit_code(error)
    if code is not None:
        word = "interrupted" if code == 130 else "terminated"
        begun = (job.dir / RESULT).exists()
        say(f"{word}; to go on: {job.resume_command}" if begun else word)
        return code
    if isinstance(error, Exception):
        return fail(error)
    say(f"error: {type(error).__name__} before the run's end, at {own_line(error)}")
    return 1


def main() -> None:
    """The command: what Hydra says of a mistake in many lines is said here in one."""
    os.environ.setdefault("FMNIST_FULL_ERROR", os.environ.get("HYDRA_FULL_ERROR", "0"))
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra passes exceptions on
    hide_from_help("wandb_sweep")
    with forgiving_terminal():
        try:
            sys.argv[1:] = order_arguments(sys.argv[1:])
            hydra_main()
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:  # before there is a job
            say("interrupted")
            sys.exit(130)
        except Exception as error:
            sys.exit(fail(error))


if __name__ == "__main__":
    # By its importable name: launchers pickle the job, and unpickle it in processes that have
    # another __main__.
    from fmnist import train as this

    this.main()
