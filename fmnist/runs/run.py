"""The run directory: the one place that knows its file names.

`fmnist.train` writes it; other commands only read what it wrote.

    .hydra/                    what Hydra composed: config.yaml, overrides.yaml, hydra.yaml
    train.log                  the log of the run, Lightning's included
    metrics.csv                one row an epoch, those of callbacks, then one with the test metrics
    checkpoints/best.ckpt      the epoch with the highest val/acc; last.ckpt: the last one
    checkpoints/best.before.ckpt  from a new best.ckpt to the next last.ckpt: the one before
    predictions.npz            test logits of best.ckpt, float32 [N, C], and labels, int64 [N]
    right.npz                  which test images best.ckpt and last.ckpt are right about, a bit each
    result.json                the record: `fmnist.runs.record` says what is in it
    corruptions.json           accuracies on damaged images, where `fmnist.evaluate` measured them
    .lock                      held, while it lives, by the process that trains: `fmnist.runs.lock`

result.json is written first of all with status "running" and last of all with "finished" or
"failed", each time under a temporary name that is then renamed. A run that is "running" with
nobody holding its lock was killed.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from fmnist.data.facts import same_sums
from fmnist.errors import RunError, UserError
from fmnist.runs.lock import is_locked
from fmnist.runs.own_code import changed_code
from fmnist.runs.plain import open_regular, reading
from fmnist.runs.predictions import limited, read_predictions
from fmnist.runs.record import RESULT, Record, known, read_record, record_json

if TYPE_CHECKING:  # imported where they are used: reading a record needs neither
    import numpy as np
    from torch import nn

    from fmnist.data.datamodule import ImageData

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.npz"
WEIGHTS = "model.safetensors"  # of runs that are handed on; see `fmnist.runs.pretrained`
PRUNED = ".pruned"  # a search has given up the run: it ends after its epoch


@dataclass
class Run:
    """A run directory and its record.

    Args:
        own: whether this process trains it: then its configuration is trusted.
    """

    dir: Path
    record: Record
    own: bool = False

    @property
    def checkpoints(self) -> Path:
        return self.dir / "checkpoints"

    @property
    def status(self) -> str:
        """ "finished"; "failed"; "stopped": failed, as somebody ended it; "running"; "killed":
        running, and nobody runs it; "unknown": running, and whether somebody does cannot be told.

        The record is read once more before a run is called killed: it may have ended since.
        """
        if self.record.status != "running":
            return "stopped" if self.record.stopped else self.record.status
        state = {True: "running", False: "killed", None: "unknown"}[is_locked(self.dir)]
        if state == "killed":
            with suppress(RunError):
                self.record = load_run(self.dir).record
        return state if self.record.status == "running" else self.status

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration that the run was made with."""
        return self.record.config

    def write(self, record: Record) -> None:
        """Put this record in the place of the present one, on disk and here.

        Raises:
            RunError: a number in it is not finite; then nothing changes.
            OSError: the file cannot be written.
        """
        write_atomically(self.dir / RESULT, record_json(record))
        self.record = record

    def net(self, which: Literal["best", "last"] = "best") -> "nn.Module":
        """The trained net, built from the run's own configuration, on the CPU, in eval mode.

        A net whose code has changed since it was trained may compute something else by the same
        weights, which is said.

        Raises:
            RunError: the checkpoint is missing or does not fit the configuration.
            Untrusted: the net is somebody's own, see `fmnist.config.trusted`.
        """
        from torch import nn

        net = self._build("model")
        if not isinstance(net, nn.Module):
            raise RunError(f"{self.dir}: config.model describes no net but {type(net).__name__}")
        path = self.checkpoints / f"{which}.ckpt"
        if which == "best" and not path.exists() and (self.dir / WEIGHTS).exists():
            path = self.dir / WEIGHTS
        if not self.own and (changed := changed_code(self.record)):
            log.warning("WARNING %s: %s changed since it ended", self.dir, ", ".join(changed))
        state = read_weights(path)
        try:
            net.load_state_dict(state)
        except Exception as error:  # what stands there in place of tensors can raise anything
            raise RunError(
                f"{path}: its weights are not those of the {type(net).__name__} that the record "
                "describes"
            ) from error
        return net.eval()

    def _build(self, group: str) -> Any:
        """What a group of the run's configuration describes.

        Raises:
            RunError: it cannot be built.
            Untrusted: see `fmnist.config.trusted`.
        """
        from hydra.errors import InstantiationException
        from omegaconf.errors import OmegaConfBaseException

        from fmnist.config.build import build_node, cause_of, sized
        from fmnist.config.trusted import Untrusted, missing_code, refuse_untrusted

        node = self.config[group]
        try:
            if not self.own:
                refuse_untrusted(node)
            if group == "model" and (data := self.record.dataset) is not None:
                node = sized(node, data.shape, len(data.classes))
            return build_node(node)
        except Untrusted as error:
            raise Untrusted(f"{self.dir}: config.{group}: {error}") from error
        except (
            InstantiationException, OmegaConfBaseException, RecursionError, ImportError
        ) as error:  # fmt: skip
            if missing := missing_code(node):
                raise RunError(f"{self.dir}: config.{group}: {missing}") from error
            cause = cause_of(error)
            reason = " ".join(str(cause).split()) or type(cause).__name__
            raise RunError(f"{self.dir}: config.{group} cannot be built: {reason}") from error

    def formats(self) -> dict[str, Any]:
        """How its nets are evaluated: `precision`, `channels_last`, `tta` of `predict`."""
        # Records from before a setting existed: what was done then.
        return {
            "precision": self.record.precision,
            "channels_last": bool(
                self.config.get("channels_last")
                if self.record.channels_last is None
                else self.record.channels_last
            ),
            "tta": self.config.get("tta", "none"),
        }

    def data(self) -> "ImageData":
        """The run's data module, without augmentation.

        Reading a run writes nothing: where its data root has no files, those of this machine are
        taken, and nothing is downloaded.

        Raises:
            RunError: the configuration describes no data.
            Untrusted: the data are somebody's own, see `fmnist.config.trusted`.
        """
        from lightning.pytorch import LightningDataModule

        data = self._build("data")
        if not isinstance(data, LightningDataModule):
            raise RunError(f"{self.dir}: config.data describes no data but {type(data).__name__}")
        made = cast("ImageData", data)
        made.download = self.own
        if self.record.dataset is not None:  # where the split's seed is the run's
            made.split_seed = self.record.dataset.split_seed
        return made

    def same_data(self) -> "ImageData":
        """The run's data module, loaded.

        Raises:
            RunError: the files found now are not those that it was made with, or a reader of
                somebody's own fails.
            DataError, DataUnavailable: there are none.
            Untrusted: see `data`.
        """
        from fmnist.config.explain import describe

        data = self.data()
        facts = self.record.dataset
        try:
            found = data.load()
        except UserError:
            raise
        except Exception as error:  # a reader of somebody's own may raise anything
            raise RunError(f"{self.dir}: its data cannot be read: {describe(error)}") from error
        if facts is None or not same_sums(found.checksums, facts.checksums):
            raise RunError(f"{self.dir}: was made with other data files than those found now")
        return data

    def require_finished(self) -> None:
        """Nothing, of a run that came to its end.

        Raises:
            RunError: it did not.
        """
        if self.record.status != "finished":
            raise RunError(f"{self.dir}: status is {self.record.status}, should be finished")

    @property
    def test_batches(self) -> int:
        """How many it was tested on: all, where `trainer` has no limit."""
        size, trainer = known(self.record.dataset).test_size, self.config["trainer"]
        batches = -(-size // int(self.config["data"].get("eval_batch_size", size)))
        if fast := trainer.get("fast_dev_run"):
            return min(int(fast), batches)
        return limited(trainer.get("limit_test_batches"), batches)

    def predictions(self) -> "tuple[np.ndarray, np.ndarray]":
        """Test logits float32 [N, C] of the best checkpoint, and labels int64 [N].

        Raises:
            RunError: the file is missing or damaged, or the run has not read its data.
        """
        data = self.record.dataset
        if data is None:
            raise RunError(f"{self.dir / RESULT}: names no data set")
        size = int(self.config["data"].get("eval_batch_size", data.test_size))
        images = min(data.test_size, self.test_batches * size)
        return read_predictions(self.dir / PREDICTIONS, images, len(data.classes))


def kept_weights(state: Mapping[str, Any]) -> dict[str, Any]:
    """Of a checkpoint's `state_dict`: the weights of the net that is validated, by its names."""
    averaged = any(key.startswith("average.") for key in state)  # see ema_decay
    prefix = "average.module." if averaged else "net."
    return {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}


def read_weights(path: Path) -> dict[str, Any]:
    """The weights of the net that is kept, by its names, of a checkpoint or a .safetensors file.

    Raises:
        RunError: there is none, or it is damaged.
    """
    if path.suffix != ".safetensors":
        return kept_weights(read_checkpoint(path)["state_dict"])
    from safetensors.torch import load_file

    with reading(path, "not a file of tensors"):
        return dict(load_file(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint; its `state_dict` has tensors by name.

    Raises:
        RunError: there is none, or it is damaged or holds more than tensors and plain values.
    """
    import torch

    # weights_only: a checkpoint from somebody else must not run code; torch advises to trust it.
    with reading(path, "not a checkpoint of tensors and plain values"), open_regular(path) as file:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
        state = checkpoint["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise RunError(f"{path}: its state_dict is not one of tensors by name")
    return dict(checkpoint)


def load_run(path: str | Path) -> Run:
    """A run from its directory.

    Raises:
        RunError: there is no readable record.
    """
    run_dir = Path(path)
    with reading(run_dir / RESULT, "is no record"):
        try:
            return Run(run_dir, read_record(run_dir / RESULT))
        except FileNotFoundError as error:
            raise RunError(f"{run_dir}: no {RESULT}: not a run directory") from error


def record_stamp(run_dir: Path) -> int | None:
    """Another one after every time that the run's record is written; None: it has none."""
    try:
        return (run_dir / RESULT).stat().st_mtime_ns
    except OSError:
        return None


def finished_run(run_dir: Path, config_hash: str) -> Run | None:
    """The run in this directory, if it has this configuration and came to its end."""
    run = ended_run(run_dir, config_hash)
    return run if run is not None and run.record.status == "finished" else None


def ended_run(run_dir: Path, config_hash: str) -> Run | None:
    """The run in this directory, if it has this configuration and finished or failed."""
    try:
        run = load_run(run_dir)
    except RunError:
        return None
    same = run.record.config_hash == config_hash
    return run if same and run.record.status != "running" else None


def write_text(path: Path, text: str) -> None:
    """A file that somebody asked for.

    Raises:
        RunError: it cannot be written.
    """
    with writing():
        write_atomically(path, text.encode(errors="backslashreplace"))  # a name that is no text


@contextmanager
def writing() -> Iterator[None]:
    """Around what writes the files that somebody asked for.

    Raises:
        RunError: one cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be written: {error.strerror}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename. Errors name the file itself."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
