"""Where a run starts: from nothing, from another run's weights, or where another run stopped."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fmnist.config.hashing import digest
from fmnist.config.schema import look_up
from fmnist.config.words import show
from fmnist.data.facts import DatasetFacts, same_sums
from fmnist.errors import ConfigError, RunError
from fmnist.runs.pretrained import PREFIX, load_named, pretrained_names
from fmnist.runs.rows import HOW
from fmnist.runs.run import (
    WEIGHTS,
    Run,
    read_checkpoint,
    read_weights,
    write_atomically,
)
from fmnist.runs.starts import origin_words, run_of
from fmnist.training.callbacks import ResumableEarlyStopping
from fmnist.training.classifier import Classifier
from fmnist.training.metrics_file import METRICS_CSV

log = logging.getLogger(__name__)

ALONE = "init_from takes its weights alone"
# Settings of `data` that say how batches are made and where files lie: these may change.
OF_BATCHES = ("root", "batch_size", "eval_batch_size")
# What makes a run as long as it is, in steps, and the value that is as none.
LENGTH = {
    "trainer.max_epochs": None,
    "trainer.max_steps": -1,
    "data.batch_size": None,
    "trainer.accumulate_grad_batches": 1,
    "trainer.limit_train_batches": 1.0,
}


@dataclass(frozen=True)
class Beginning:
    """What a run starts from, read once, before there is a record.

    Args:
        origin: for the record: which run it is; None: it starts from nothing.
        weights: of `init_from`, by the net's names.
        remarks: on them, a sentence each; see `_remarks`.
        files: of `ckpt_path`: last and best checkpoint, which become this run's own.
        seconds: that their epochs took.
        machine: that it was on, where that is known.
    """

    origin: str | None = None
    weights: Mapping[str, Tensor] | None = None
    remarks: Sequence[str] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    seconds: float | None = None
    machine: str | None = None


def beginning_of(
    config: dict[str, Any],
    net: nn.Module,
    shorter: Run | None = None,
    facts: DatasetFacts | None = None,
) -> Beginning:
    """What a new run starts from; what cannot be started from is refused here.

    Args:
        net: such as the run will train.
        shorter: a finished run that this one goes on from, see `fmnist.training.shorter`.
        facts: of the data that it will train on.

    Raises:
        RunError: there is no readable checkpoint.
        ConfigError: the checkpoint is not of such a net, or leaves nothing to train.
    """
    if shorter is not None:
        files = {name: shorter.checkpoints / f"{name}.ckpt" for name in ("best", "last")}
        origin = f"reuse_shorter={shorter.dir} ({shorter.record.config_hash})"
        record = shorter.record
        return Beginning(origin, files=files, seconds=record.train_seconds, machine=record.machine)
    if config["init_from"] is not None:
        file = checkpoint_of("init_from", config["init_from"], "best")
        there = run_of(file)
        origin = origin_words("init_from", config["init_from"], there)
        weights = weights_of(config, file, net)
        return Beginning(origin, weights, [*_remarks(there, config, facts)] if there else [])
    if config["ckpt_path"] is not None:
        files, seconds = files_of(config, net)
        there = run_of(files["last"])
        origin = origin_words("ckpt_path", config["ckpt_path"], there)
        machine = there.record.machine if there else None
        return Beginning(origin, files=files, seconds=seconds, machine=machine)
    return Beginning()


def _remarks(there: Run, config: dict[str, Any], facts: DatasetFacts | None) -> Iterator[str]:
    """What makes another run's weights less here than they seem."""
    if "model" in config and (found := difference(there.config["model"], config["model"], "model")):
        yield f"the net has other settings now: {found}"
    data = there.record.dataset
    if data is None or facts is None or facts.select_on != "val":
        return
    same = same_sums(data.checksums, facts.checksums)
    if same and data.split_md5 != facts.split_md5:
        yield (
            "other images validate here, which may have trained these weights: val/acc is no "
            "measure of new images; the same data.train_size, val_size and split_seed keep them "
            "apart"
        )


def as_begun(config: dict[str, Any], run: Run) -> dict[str, Any]:
    """The configuration; of a run that goes on, with the formats in which it was begun.

    Where they are left to net and machine, later code or another machine might choose others.

    Args:
        run: with the record of what it has trained so far, if it has.
    """
    begun: Run | None = run
    if not run.record.precision and config["ckpt_path"] is not None:
        begun = run_of(checkpoint_of("ckpt_path", config["ckpt_path"], "last"))
    if begun is None or not begun.record.precision:
        return config
    used, trainer = begun.formats(), config["trainer"]
    if trainer.get("precision", "auto") == "auto":
        trainer = {**trainer, "precision": used["precision"]}
    chosen = config["channels_last"]
    return {
        **config,
        "trainer": trainer,
        "channels_last": used["channels_last"] if chosen is None else chosen,
    }


def start_from(beginning: Beginning, classifier: Classifier, checkpoints: Path) -> None:
    """Give a new run what it starts from.

    Args:
        checkpoints: of the new run.
    """
    if beginning.weights is not None:
        take_weights(beginning.weights, classifier)
    for remark in beginning.remarks:
        log.warning("init_from  %s", remark)
    if beginning.files:
        log.info("begins where another run ended: %s", beginning.origin)
        checkpoints.mkdir(parents=True, exist_ok=True)
    for name, source in beginning.files.items():
        write_atomically(checkpoints / f"{name}.ckpt", source.read_bytes())
    there = run_of(beginning.files["last"]) if beginning.files else None
    if there is not None and (rows := there.dir / METRICS_CSV).is_file():
        write_atomically(checkpoints.parent / METRICS_CSV, rows.read_bytes())


def checkpoint_of(key: str, given: str, which: str) -> Path:
    """The file that a setting names: a checkpoint, that of a run directory, or a net of ours.

    Raises:
        RunError: there is none.
    """
    ours = [f"{PREFIX}{name}" for name in pretrained_names()] if key == "init_from" else []
    if given in ours:
        return load_named(given).dir / WEIGHTS
    path = Path(given).expanduser()
    found = path / "checkpoints" / f"{which}.ckpt" if path.is_dir() else path
    if not found.is_file():
        named = "".join(f" or {name}" for name in ours)
        raise RunError(
            f"{key}={given}: should be a run directory or a checkpoint{named}; no {found}"
        )
    return found


def weights_of(config: dict[str, Any], file: Path, net: nn.Module) -> dict[str, Tensor]:
    """Another run's best weights, of which at least one tensor has the shape that it has here."""
    given = f"init_from={config['init_from']}"
    there, own = read_weights(file), net.state_dict()
    if strange := sorted(own.keys() ^ there.keys()):
        where = "there" if strange[0] in there else "here"
        raise ConfigError(f"{given}: is of another net: only {where} is {strange[0]}")
    if all(own[name].shape != there[name].shape for name in own):
        raise ConfigError(f"{given}: no tensor has the shape that it has here")
    return there


def take_weights(there: Mapping[str, Tensor], classifier: Classifier) -> None:
    """Another run's best weights; a tensor of another shape, such as a head's, stays new."""
    own = classifier.net.state_dict()
    other = [name for name in own if own[name].shape != there[name].shape]
    classifier.net.load_state_dict({**there, **{name: own[name] for name in other}})
    if classifier.average is not None:
        classifier.average.module.load_state_dict(classifier.net.state_dict())
    for name in other:
        shapes = f"{list(there[name].shape)} there, {list(own[name].shape)} here"
        log.info("init_from  %s stays new: %s", name, shapes)


def files_of(config: dict[str, Any], net: nn.Module) -> tuple[dict[str, Path], float]:
    """Another run's last and best checkpoint, from which this one goes on as its own.

    And the seconds that its epochs took.
    """
    given = config["ckpt_path"]
    path = checkpoint_of("ckpt_path", given, "last")
    last = read_checkpoint(path)
    refuse_other(config, last, net)
    refuse_kept(config, _settings_of(path, last))
    history = last.get("history") or []
    if not history:
        raise ConfigError(f"ckpt_path={given}: holds no epochs; init_from takes weights alone")
    if _is_within(last):
        raise ConfigError(
            f"ckpt_path={given}: was written within an epoch, whose other images it would never "
            f"see: should be the last.ckpt of a run that ended with one; {ALONE}"
        )
    done, most = int(history[-1]["epoch"]) + 1, config["trainer"].get("max_epochs")
    if most is not None and most <= done:
        raise ConfigError(
            f"trainer.max_epochs={most}: should be more than {done}, the epochs that "
            f"ckpt_path={given} has"
        )
    refuse_impatient(config, last, done)
    accuracies = [row["val/acc"] for row in history]
    first = accuracies.index(max(accuracies))  # of equals
    best = path if first == len(accuracies) - 1 else path.with_name("best.ckpt")
    if not best.is_file():
        raise RunError(f"ckpt_path={given}: no {best}, which holds the best of its epochs so far")
    if best != path:  # what is wrong with it shows now, not when the run is tested
        of_best = (read_checkpoint(best).get("history") or [{}])[-1]
        if of_best.get("step") != history[first]["step"]:
            raise ConfigError(
                f"ckpt_path={given}: {best} is of step {of_best.get('step', 'unknown')}, and the "
                f"best of its epochs of step {history[first]['step']}; {ALONE}"
            )
    seconds = sum(float(row["seconds"]) for row in history)
    return {"best": best, "last": path}, seconds


def _is_within(last: Mapping[str, Any]) -> bool:
    """Whether a checkpoint was written before the last batch of an epoch, as far as it says."""
    batches = last.get("loops", {}).get("fit_loop", {}).get("epoch_loop.batch_progress", {})
    return batches.get("is_last_batch") is False and batches["current"]["ready"] > 0


def refuse_other(config: dict[str, Any], last: Mapping[str, Any], net: nn.Module) -> None:
    """A checkpoint of another net or of another optimiser.

    Raises:
        ConfigError: what differs.
    """
    given, state = f"ckpt_path={config['ckpt_path']}", last["state_dict"]
    there = {key.removeprefix("net."): state[key] for key in state if key.startswith("net.")}
    own = net.state_dict()
    if strange := sorted(own.keys() ^ there.keys()):
        raise ConfigError(f"{given}: is of another net: it differs in {strange[0]}")
    for name in own:
        if own[name].shape != there[name].shape:
            raise ConfigError(
                f"{given}: is of another net: {name} is {list(there[name].shape)} there, "
                f"{list(own[name].shape)} here"
            )
    averaged = any(key.startswith("average.") for key in state)
    if averaged != (config["ema_decay"] is not None):
        raise ConfigError(f"{given}: was trained {'with' if averaged else 'without'} ema_decay")
    before = last.get("hyper_parameters", {}).get("optimizer", {}).get("_target_")
    if before != (now := config["optim"]["_target_"]):
        raise ConfigError(
            f"{given}: was trained with {before}, and this run is with {now}: {ALONE}"
        )


def _settings_of(file: Path, last: Mapping[str, Any]) -> dict[str, Any]:
    """With what a checkpoint was trained: its run's configuration, or what it says itself."""
    if run := run_of(file):
        return run.config
    parts = last.get("hyper_parameters", {})
    names = {"optim": "optimizer", "scheduler": "schedule", "tta": "tta"}
    return {group: parts[name] for group, name in names.items() if name in parts}


def refuse_kept(config: dict[str, Any], there: dict[str, Any]) -> None:
    """Settings that a run which goes on would keep from the checkpoint, whatever it is told.

    Optimiser and schedule are restored with their numbers, and the best epoch so far was chosen on
    the images of then, with the net of then: another activation fits its weights, and would be
    tested with them. Which of a net's settings change nothing in evaluation, as dropout does, only
    the net knows: none may be another one. Batches, augmentation, smoothing and patience are this
    run's own.

    Args:
        there: the configuration of the checkpoint, or what is known of it.

    Raises:
        ConfigError: what differs.
    """
    given = f"ckpt_path={config['ckpt_path']}"
    for group in ("model", "optim", "scheduler"):
        if group not in there:
            continue
        kept, own = (_kept(one[group], group) for one in (there, config))
        if found := difference(kept, own, group):
            raise ConfigError(
                f"{given}: {found}: should be as there, since a run that goes on keeps it; {ALONE}"
            )
    if "data" in there and (found := difference(_images_of(there), _images_of(config), "data")):
        raise ConfigError(f"{given}: {found}: its best epoch was chosen on other images; {ALONE}")
    if (before := there.get("tta", "none")) != config["tta"]:
        raise ConfigError(
            f"{given}: tta is {before} there, {config['tta']} here: its best epoch was chosen by "
            f"other views; {ALONE}"
        )
    horizon = config["scheduler"].get("horizon")
    for key, usual in LENGTH.items() if horizon and "trainer" in there else ():
        before, now = (
            usual if look_up(one, key) is None else look_up(one, key) for one in (there, config)
        )
        if show(before) != show(now):  # 1 batch is not 1.0, all of them
            raise ConfigError(
                f"{given}: {key} is {show(before)} there, {show(now)} here, and scheduler.horizon="
                f"{horizon} ends the schedule with the run of then; {ALONE}"
            )


def _kept(node: dict[str, Any], group: str) -> dict[str, Any]:
    """Without what only rounds a result otherwise: that may stay as it was."""
    return {key: value for key, value in node.items() if (group, key) not in HOW}


def difference(there: Any, here: Any, key: str) -> str | None:
    """The first setting of a node that is another one; what is left out has its default.

    Args:
        key: of the node, as "optim".
    """
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return f"{key} is {_said(there)} there, {_said(here)} here"
    for name in dict.fromkeys(["_target_", *here, *there]):
        hashes = {
            digest({key: {part: node[part] for part in ("_target_", name) if part in node}}, {}, ())
            for node in (there, here)
        }
        if len(hashes) > 1:
            before, now = (node.get(name, "left out") for node in (there, here))
            return difference(before, now, f"{key}.{name}")
    return None


def _said(value: Any) -> str:
    return str(value.get("_target_")) if isinstance(value, dict) else show(value)


def _images_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `data` that decide which images train, and which validate."""
    data = {key: value for key, value in config["data"].items() if key not in OF_BATCHES}
    return data | ({"split_seed": config["seed"]} if data.get("split_seed") == "seed" else {})


def refuse_impatient(config: dict[str, Any], last: Mapping[str, Any], done: int) -> None:
    """A checkpoint after which this run's patience leaves nothing to train.

    Args:
        done: epochs that it has.

    Raises:
        ConfigError: its last epochs were no better, so many that this run would end.
    """
    patience = config["patience"]
    if patience is None or done < (config["trainer"].get("min_epochs") or 0):
        return
    for name, state in last.get("callbacks", {}).items():
        if name.startswith(f"{ResumableEarlyStopping.__name__}{{") and (
            state["wait_count"] >= patience
        ):
            raise ConfigError(
                f"patience={patience}: should be more than {state['wait_count']}, the validations "
                f"without a better val/acc with which ckpt_path={config['ckpt_path']} ends"
            )
