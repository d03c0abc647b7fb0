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
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from fmnist.config.arguments import ask_for_sweep, order_arguments
from fmnist.config.build import build_node, sized
from fmnist.config.check import check
from fmnist.config.compose import compose_run
from fmnist.config.devices import check_devices
from fmnist.config.explain import explain, fail, own_line
from fmnist.config.schema import CONF_DIR, config_hash
from fmnist.config.words import in_one_line
from fmnist.errors import ConfigError
from fmnist.process.messages import run_log, send_library_messages_to_log
from fmnist.process.terminal import (
    forgiving_terminal,
    left_at_once,
    say,
    signal_exit_code,
    sigterm_exits,
)
from fmnist.runs.before import check_folder, remove_all_untouched, remove_untouched
from fmnist.runs.job import Job, hydra_job
from fmnist.runs.lock import locked
from fmnist.runs.record import RESULT, Record, known
from fmnist.runs.recording import goes_on, recorded, start_run
from fmnist.runs.run import PREDICTIONS, Run, load_run, write_atomically
from fmnist.runs.text import announcement, metrics_table, totals_line
from fmnist.sweeps import names  # noqa: F401 (conf/config.yaml names its resolvers)
from fmnist.sweeps.process import run_cell

if TYPE_CHECKING:
    from lightning.pytorch import Trainer
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
    with locked(job.dir), sigterm_exits():
        send_library_messages_to_log()
        from fmnist.tracking.dashboard import open_loggers
        from fmnist.training.build import build_classifier, build_data
        from fmnist.training.limits import refuse_no_test
        from fmnist.training.preflight import takes_channels_last, try_net_on
        from fmnist.training.shorter import shorter_run
        from fmnist.training.start import Beginning, as_begun, beginning_of, start_from

        name = job.config_hash or config_hash(config)
        data = build_data(config)
        facts = data.load()
        refuse_no_test(config["trainer"], data)
        shape, classes = facts.shape, len(facts.classes)
        net = try_net_on(data, lambda: build_node(sized(config["model"], shape, classes)))
        if config["channels_last"] and not takes_channels_last(net, shape):
            raise ConfigError(
                f"channels_last=true: should be false: {type(net).__name__} takes a view of its "
                "images, which memory in that order does not allow (torch.flatten and reshape do)"
            )
        shorter = None if job.group is None else shorter_run(config, job.dir, facts.checksums)
        begun = goes_on(job.dir, name, config)
        beginning = Beginning() if begun else beginning_of(config, net, shorter, facts)
        del net  # of the trial
        new = Record(
            status="running",
            config_hash=name,
            command=job.command,
            choices=job.choices,
            overrides=list(job.overrides),
            group=job.group,
            config=config,
            seed=config["seed"],
            dataset=facts,
            tags=config["tags"],
            origin=beginning.origin,
            inherited_seconds=beginning.seconds,
            inherited_on=beginning.machine,
        )
        run = start_run(job.dir, new)
        with recorded(run), open_loggers(config, job, run) as loggers:
            config = as_begun(config, run)
            classifier = build_classifier(config, data)
            start_from(beginning, classifier, run.checkpoints)
            del beginning  # its weights are the net's now
            trainer = fit(config, classifier, data, loggers, run.checkpoints, run)
            test(run, trainer, classifier, data)
            finish(run, trainer, data, loggers, time.perf_counter() - began)
    return run.record.metrics["val/acc_best"]


def train_here(overrides: Sequence[str], folder: str | Path | None) -> Run:
    """A run of this process, which may be a notebook's; see `fmnist.train_run`."""
    config, choices = compose_run(overrides)
    made = folder or f"outputs/{datetime.now():%Y-%m-%d/%H-%M-%S-%f}"
    job = Job(Path(made).absolute(), choices, tuple(overrides))
    check_folder(job.dir, job.log, config_hash(config))
    with run_log(job.dir / job.log):
        train(config, job)
    return load_run(job.dir)


def train_beside() -> None:
    """Another process of a run on several devices, see `fmnist.training.ddp`: it only trains."""
    from fmnist.training.ddp import beside_main_process

    with beside_main_process():
        send_library_messages_to_log()
        logging.disable()
        run = load_run(sys.argv[1])
        from fmnist.training.build import build as both
        from fmnist.training.start import as_begun

        config = as_begun(run.config, run)
        fit(config, *both(config), [], run.checkpoints)


def fit(
    config: dict[str, Any],
    classifier: "Classifier",
    data: "ImageData",
    loggers: "list[Logger]",
    checkpoints: Path,
    run: Run | None = None,
) -> "Trainer":
    """Build the trainer, and train.

    Args:
        checkpoints: folder for best.ckpt and last.ckpt.
        run: the record to keep up to date; None in the extra processes of DDP.
    """
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    from fmnist.training.build import formats
    from fmnist.training.cost import parameter_count
    from fmnist.training.ddp import other_processes
    from fmnist.training.limits import cut_short, out_of_time
    from fmnist.training.trainer import (
        build_trainer,
        close,
        in_groups,
        on_machine,
        say_what_was_found,
    )

    try:
        operations = known(classifier.flops)
        precision, _ = formats(config, operations)
        trainer = build_trainer(config, precision, loggers, checkpoints, run)
        if run is not None:
            known_now = replace(
                on_machine(run.record, trainer),
                params=parameter_count(classifier.net),
                flops=operations,
                channels_last=classifier.hparams["channels_last"],
                cut_short=cut_short(trainer, data),
            )
            run.write(known_now)
            log.info("%s", announcement(run.record, type(classifier.net).__name__, run.dir))
        # Lightning's, for processes that fork later. Torch's optimisers ask for a GPU in every
        # step, and with it look for NVIDIA's library anew each time: 0.06 ms.
        os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
        last = checkpoints / "last.ckpt"
        module, batches = in_groups(config, trainer, classifier, data)
        with other_processes(trainer, run):
            resumed = last if last.exists() else None
            trainer.fit(module, batches, ckpt_path=resumed, weights_only=True)
            say_what_was_found(config, module, data)
            module.log_rows()  # of a run that was stopped after its last epoch, nothing starts
            close(trainer, module, batches, checkpoints)
    except MisconfigurationException as error:
        raise ConfigError(f"trainer: {in_one_line(error)}") from error
    steps = module.steps_per_epoch()
    if run is not None and (late := out_of_time(trainer, config["trainer"].get("max_time"), steps)):
        reasons = ", ".join(filter(None, [run.record.cut_short, late]))
        run.record = replace(run.record, cut_short=reasons)
    return trainer


def test(run: Run, trainer: "Trainer", classifier: "Classifier", data: "ImageData") -> None:
    """Read the test set, once, with the checkpoint that validation chose and with the last one."""
    import numpy as np

    from fmnist.runs.bits import RIGHT, Right, write_right
    from fmnist.training.divergence import refuse_divergence
    from fmnist.training.predict import loss_and_accuracy, predict

    rows = classifier.history
    best = max(range(len(rows)), key=lambda epoch: rows[epoch]["val/acc"])  # the first of equals
    device = trainer.strategy.root_device
    batches = data.test_batches(device)
    metrics: dict[str, float] = {"val/acc_best": rows[best]["val/acc"]}
    right = []
    for which, epoch, suffix in (("best", best, ""), ("last", len(rows) - 1, "_last")):
        if which == "best" or epoch != best:  # else they have the same weights
            some = islice(batches, run.test_batches)
            logits, labels = predict(run.net(which), some, device, **run.formats())  # type: ignore[arg-type]
            loss, accuracy = loss_and_accuracy(logits, labels)
            refuse_divergence("test", loss, logits)
        for name in ("train/loss", "train/acc", "val/loss", "val/acc"):
            metrics[name + suffix] = rows[epoch][name]
        metrics |= {f"test/loss{suffix}": loss, f"test/acc{suffix}": accuracy}
        if which == "best":
            buffer = io.BytesIO()
            np.savez_compressed(buffer, logits=logits.numpy(), labels=labels.numpy())
            write_atomically(run.dir / PREDICTIONS, buffer.getvalue())
        right.append((logits.argmax(1) == labels).numpy())
    write_right(run.dir / RIGHT, {run.record.config_hash: Right(*right)})
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
    before = record.inherited_seconds or 0
    if record.resumed:  # its epochs until then, of which some may be inherited
        done = record.resumed[-1].epochs
        before = sum(row.seconds for row in record.epochs if row.epoch < done)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on macOS
    run.write(
        replace(
            record,
            status="finished",
            train_seconds=summary["train/seconds"],
            seconds=seconds + before,
            peak_memory_mib=peak / (1024**2 if sys.platform == "darwin" else 1024),
        )
    )
    best, last = record.epochs[known(record.best_epoch)].epoch, record.epochs[-1].epoch
    log.info("%s", metrics_table(metrics, best, last + 1))
    log.info("%s", totals_line(run.record, run.dir))
    for dashboard in [] if trainer.fast_dev_run else dashboards:  # type: ignore[attr-defined]
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
        if not isinstance(error, Exception) or explain(error, sys.argv[1:]):  # else: see the log
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
    with forgiving_terminal():
        try:
            sys.argv[1:] = ask_for_sweep(order_arguments(sys.argv[1:]))
            hydra_main()
        except BrokenPipeError:
            raise
        except KeyboardInterrupt:  # before there is a job
            say("interrupted")
            sys.exit(130)
        except Exception as error:  # Hydra's, outside of its job
            remove_all_untouched("train.log")
            sys.exit(fail(error))


if __name__ == "__main__":
    # By its importable name: launchers pickle the job, and unpickle it in processes that have
    # another __main__.
    from fmnist import train as this

    with left_at_once():
        this.main()
