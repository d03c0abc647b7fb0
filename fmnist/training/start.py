"""Where a run starts: from nothing, from another run's weights, or where another run stopped."""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.errors import ConfigError, RunError
from fmnist.runs.pretrained import PREFIX, pretrained
from fmnist.runs.run import (
    WEIGHTS,
    Run,
    load_run,
    read_checkpoint,
    read_weights,
    write_atomically,
)
from fmnist.training.build import build_classifier
from fmnist.training.classifier import Classifier
from fmnist.training.random_state import same_random_states

if TYPE_CHECKING:
    from fmnist.data.datamodule import ImageData

log = logging.getLogger(__name__)


def origin_of(config: dict[str, Any], data: "ImageData", shorter: Run | None = None) -> str | None:
    """For the record: which run this one starts from; None: from nothing.

    What cannot be started from is refused here, before there is a record.

    Args:
        data: loaded, for a net of its sizes.
        shorter: see `fmnist.training.shorter`.

    Raises:
        RunError: there is no readable checkpoint.
        ConfigError: the checkpoint is not of such a net, or leaves nothing to train.
    """
    if shorter is not None:
        return f"reuse_shorter={shorter.dir} ({shorter.record.config_hash})"
    for key, which in (("init_from", "best"), ("ckpt_path", "last")):
        if config[key] is None:
            continue
        with same_random_states():
            classifier = build_classifier(config, data)
        weights_of(config[key], classifier) if key == "init_from" else files_of(config, classifier)
        there = _run_of(checkpoint_of(key, config[key], which))
        return f"{key}={config[key]}" + (f" ({there.record.config_hash})" if there else "")
    return None


def _run_of(file: Path) -> Run | None:
    """The run that wrote these weights; None: there is none."""
    try:
        return load_run(file.parent if file.name == WEIGHTS else file.parents[1])
    except (RunError, IndexError):
        return None


def as_begun(config: dict[str, Any], run: Run) -> dict[str, Any]:
    """The configuration; of a run that goes on, with the formats in which it was begun.

    Where they are left to net and machine, later code or another machine might choose others.

    Args:
        run: with the record of what it has trained so far, if it has.
    """
    begun: Run | None = run
    if not run.record.precision and config["ckpt_path"] is not None:
        begun = _run_of(checkpoint_of("ckpt_path", config["ckpt_path"], "last"))
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


def start_from(
    config: dict[str, Any], classifier: Classifier, checkpoints: Path, shorter: Run | None = None
) -> None:
    """Give a new run what `init_from` or `ckpt_path` names; a run that goes on has it already.

    Args:
        checkpoints: of the new run.
        shorter: a run that this one goes on from as from `ckpt_path`.

    Raises:
        RunError, ConfigError: see `origin_of`.
    """
    if (checkpoints / "last.ckpt").exists():
        return
    if config["init_from"] is not None:
        take_weights(config["init_from"], classifier)
        return
    if shorter is not None:
        log.info("begins where %s ended", shorter.dir)
        config = config | {"ckpt_path": str(shorter.dir)}
    if config["ckpt_path"] is not None:
        checkpoints.mkdir(parents=True, exist_ok=True)
        for name, source in files_of(config, classifier).items():
            write_atomically(checkpoints / f"{name}.ckpt", source.read_bytes())


def checkpoint_of(key: str, given: str, which: str) -> Path:
    """The file that a setting names: a checkpoint, that of a run directory, or a net of ours.

    Raises:
        RunError: there is none.
    """
    if key == "init_from" and given.startswith(PREFIX):
        return pretrained(given.removeprefix(PREFIX)).dir / WEIGHTS
    path = Path(given).expanduser()
    found = path / "checkpoints" / f"{which}.ckpt" if path.is_dir() else path
    if not found.is_file():
        raise RunError(f"{key}={given}: should be a run directory or a checkpoint; no {found}")
    return found


def weights_of(given: str, classifier: Classifier) -> tuple[dict[str, Any], list[str]]:
    """Another run's best weights, and the names of those that have another shape here."""
    there = read_weights(checkpoint_of("init_from", given, "best"))
    own = classifier.net.state_dict()
    if strange := sorted(own.keys() ^ there.keys()):
        where = "there" if strange[0] in there else "here"
        raise ConfigError(f"init_from={given}: is of another net: only {where} is {strange[0]}")
    other = [name for name in own if own[name].shape != there[name].shape]
    if len(other) == len(own):
        raise ConfigError(f"init_from={given}: no tensor has the shape that it has here")
    return there, other


def take_weights(given: str, classifier: Classifier) -> None:
    """Another run's best weights; a tensor of another shape, such as a head's, stays new."""
    (there, other), own = weights_of(given, classifier), classifier.net.state_dict()
    classifier.net.load_state_dict(there | {name: own[name] for name in other})
    if classifier.average is not None:
        classifier.average.module.load_state_dict(classifier.net.state_dict())
    for name in other:
        shapes = f"{list(there[name].shape)} there, {list(own[name].shape)} here"
        log.info("init_from  %s stays new: %s", name, shapes)


def files_of(config: dict[str, Any], classifier: Classifier) -> dict[str, Path]:
    """Another run's last and best checkpoint, from which this one goes on as its own."""
    given = config["ckpt_path"]
    path = checkpoint_of("ckpt_path", given, "last")
    last = read_checkpoint(path)
    refuse_other(given, last, classifier)
    history = last.get("history") or []
    if not history:
        raise ConfigError(f"ckpt_path={given}: holds no epochs; init_from takes weights alone")
    done, most = int(history[-1]["epoch"]) + 1, config["trainer"].get("max_epochs")
    if most is not None and most <= done:
        raise ConfigError(
            f"trainer.max_epochs={most}: should be more than {done}, the epochs that "
            f"ckpt_path={given} has"
        )
    accuracies = [row["val/acc"] for row in history]
    best = path if max(accuracies) == accuracies[-1] else path.with_name("best.ckpt")
    if not best.is_file():
        raise RunError(f"ckpt_path={given}: no {best}, which holds the best of its epochs so far")
    if best != path:
        read_checkpoint(best)  # what is wrong with it shows now, not when the run is tested
    return {"best": best, "last": path}


def refuse_other(given: str, last: Mapping[str, Any], classifier: Classifier) -> None:
    """A checkpoint of another net or of another optimiser.

    Raises:
        ConfigError: what differs.
    """
    own, there = classifier.state_dict(), last["state_dict"]
    if strange := sorted(own.keys() ^ there.keys()):
        raise ConfigError(f"ckpt_path={given}: is of another net: it differs in {strange[0]}")
    for name in own:
        if own[name].shape != there[name].shape:
            raise ConfigError(
                f"ckpt_path={given}: is of another net: {name} is {list(there[name].shape)} there, "
                f"{list(own[name].shape)} here"
            )
    before = last.get("hyper_parameters", {}).get("optimizer", {}).get("_target_")
    now = classifier.hparams.get("optimizer", {}).get("_target_")
    if before != now:
        raise ConfigError(
            f"ckpt_path={given}: was trained with {before}, and this run is with {now}: "
            "init_from takes its weights alone"
        )
