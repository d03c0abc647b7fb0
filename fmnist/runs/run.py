"""The run directory: the one place that knows its file names and its schema.

`fmnist.train` writes it; every other command only reads it.

    .hydra/                    what Hydra composed: config.yaml, overrides.yaml, hydra.yaml
    train.log                  the log of the run, Lightning's included
    metrics.csv                one row an epoch, then one with the test metrics
    checkpoints/best.ckpt      the epoch with the highest val/acc; last.ckpt: the last one
    predictions.npz            test logits of best.ckpt, float32 [N, 10], and labels, int64 [N]
    result.json                the record: status, choices, metrics, ... (docs: README)
    .lock                      held, while it lives, by the process that trains

result.json is written first of all with status "running" and last of all with "finished" or
"failed", each time under a temporary name that is then renamed. A run that is "running" with
nobody holding its lock was killed.
"""

import json
import os
import platform
import subprocess
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast
from zipfile import BadZipFile
from zlib import error as ZlibError

from filelock import FileLock, Timeout

from fmnist.errors import RunBusy, RunError, UserError
from fmnist.runs.foreign_text import escaped_values

if TYPE_CHECKING:  # imported where they are used: reading a record needs neither
    import numpy as np
    from torch import nn

    from fmnist.data.datamodule import ImageData

SCHEMA = 1
RESULT, PREDICTIONS, LOCK = "result.json", "predictions.npz", ".lock"
PACKAGES = ("torch", "lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy", "wandb")


@dataclass
class Run:
    """A run directory and its record.

    Args:
        own: whether this process trains it: then its configuration is trusted.
    """

    dir: Path
    record: dict[str, Any] = field(default_factory=dict)
    own: bool = False

    @property
    def checkpoints(self) -> Path:
        return self.dir / "checkpoints"

    @property
    def status(self) -> str:
        """ "finished", "failed", "running", or "killed": running, and nobody runs it."""
        status = str(self.record.get("status"))
        return "killed" if status == "running" and not is_claimed(self.dir) else status

    @property
    def config(self) -> dict[str, Any]:
        """The resolved configuration that the run was made with."""
        config: dict[str, Any] = self.record["config"]
        return config

    def update(self, **entries: Any) -> None:
        """Add to the record and write it."""
        self.record.update(entries)
        write_atomically(self.dir / RESULT, json.dumps(self.record, indent=1).encode())

    def net(self, which: Literal["best", "last"] = "best") -> "nn.Module":
        """The trained net, built from the run's own configuration, on the CPU, in eval mode.

        Raises:
            RunError: the checkpoint is missing or does not fit the configuration.
            Untrusted: the net is somebody's own, see `fmnist.config.trusted`.
        """
        from torch import nn

        net = self._build("model")
        if not isinstance(net, nn.Module):
            raise RunError(f"{self.dir}: config.model describes no net but {type(net).__name__}")
        path = self.checkpoints / f"{which}.ckpt"
        state = read_weights(path)
        averaged = any(key.startswith("average.") for key in state)  # see ema_decay
        prefix = "average.module." if averaged else "net."
        try:
            net.load_state_dict(
                {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
            )
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

        from fmnist.config.build import build
        from fmnist.config.trusted import Untrusted, refuse_untrusted

        try:
            if not self.own:
                refuse_untrusted(self.config[group])
            return build(self.config[group])
        except Untrusted as error:
            raise Untrusted(f"{self.dir}: config.{group}: {error}") from error
        except (InstantiationException, OmegaConfBaseException, RecursionError) as error:
            cause = error.__cause__ or error
            reason = " ".join(str(cause).split()) or type(cause).__name__
            raise RunError(f"{self.dir}: config.{group} cannot be built: {reason}") from error

    def formats(self) -> dict[str, Any]:
        """How its nets are evaluated: `precision`, `channels_last`, `tta` of `predict`."""
        # Records from before a setting existed: what was done then.
        return {
            "precision": self.record["precision"],
            "channels_last": self.record.get("channels_last", self.config["channels_last"]),
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
        return made

    def predictions(self) -> "tuple[np.ndarray, np.ndarray]":
        """Test logits float32 [N, 10] of the best checkpoint, and labels int64 [N].

        Raises:
            RunError: the file is missing or damaged.
        """
        import numpy as np

        path = self.dir / PREDICTIONS
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return arrays["logits"], arrays["labels"]
        except (OSError, ValueError, KeyError, EOFError, BadZipFile, ZlibError) as error:
            raise RunError(f"{path}: cannot be read: {error}") from error


def read_weights(path: Path) -> dict[str, Any]:
    """The `state_dict` of a checkpoint: tensors by name.

    Raises:
        RunError: there is none, or it is damaged or holds more than tensors and plain values.
    """
    import torch

    try:
        # weights_only: a checkpoint from somebody else must not run code.
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can raise anything; torch advises to trust it
        raise RunError(
            f"{path}: damaged, or not a checkpoint of tensors and plain values: not loaded"
        ) from error
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise RunError(f"{path}: its state_dict is not one of tensors by name")
    return state


def load_run(path: str | Path) -> Run:
    """A run from its directory.

    Raises:
        RunError: there is no readable record.
    """
    run_dir = Path(path)
    try:
        record = escaped_values(json.loads((run_dir / RESULT).read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RunError(f"{run_dir}: no {RESULT}: not a run directory") from error
    except (OSError, ValueError, RecursionError) as error:
        raise RunError(f"{run_dir / RESULT}: cannot be read: {error}") from error
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise RunError(f"{run_dir / RESULT}: not a run record of schema {SCHEMA}")
    return Run(run_dir, record)


@contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Nobody else trains this run meanwhile, on this machine or on another with the same files.

    Raises:
        RunBusy: somebody does.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run_dir / LOCK)
    try:
        lock.acquire(timeout=1)  # `is_claimed` holds it for a moment
    except Timeout as error:
        raise RunBusy(f"{run_dir}: another process is training this run") from error
    try:
        yield
    finally:
        lock.release()


def is_claimed(run_dir: Path) -> bool:
    """Whether a living process trains this run."""
    if not (run_dir / LOCK).exists():
        return False
    try:
        with FileLock(run_dir / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # somebody else's directory
        return False


def finished_run(run_dir: Path, config_hash: str) -> Run | None:
    """The run in this directory, if it has this configuration and came to its end."""
    try:
        run = load_run(run_dir)
    except RunError:
        return None
    same = run.record.get("config_hash") == config_hash
    return run if same and run.record.get("status") == "finished" else None


def start_run(run_dir: Path, *, config_hash: str, **entries: Any) -> Run:
    """A run with what is known before it begins: status "running".

    A run of the same configuration that was stopped is continued from checkpoints/last.ckpt, if
    it came so far: `resumed` in the record then lists when, and after how many epochs.

    Raises:
        RunError: the directory holds a finished run, or one of another configuration.
    """
    earlier = refuse_other_run(run_dir, config_hash)
    run = Run(run_dir, own=True)
    now, code = datetime.now(UTC).isoformat(timespec="seconds"), code_version()
    if not earlier:
        (run.checkpoints / "last.ckpt").unlink(missing_ok=True)
    elif (run.checkpoints / "last.ckpt").exists():
        done = len(earlier.get("epochs", []))
        again = {"at": now, "epochs": done, "git_commit": code["git_commit"]}
        entries |= {
            "resumed": [*earlier.get("resumed", []), again],
            "epochs": earlier.get("epochs", []),
        }
    run.update(
        schema=SCHEMA,
        status="running",
        started=earlier.get("started", now),
        config_hash=config_hash,
        **entries,
        **code,
        versions=package_versions(),
    )
    return run


def refuse_other_run(run_dir: Path, config_hash: str) -> dict[str, Any]:
    """The record of a run that can go on there; empty when there is none.

    Raises:
        RunError: the directory holds a finished run, or one of another configuration.
    """
    try:
        earlier = load_run(run_dir).record if (run_dir / RESULT).exists() else {}
    except RunError:
        return {}  # unreadable: nothing that could be continued
    if earlier and earlier.get("config_hash") != config_hash:
        raise RunError(
            f"{run_dir}: holds a run of another configuration; choose another hydra.run.dir"
        )
    if earlier.get("status") == "finished":
        raise RunError(f"{run_dir}: holds a finished run; choose another hydra.run.dir")
    return earlier


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Whatever ends the run other than its end: the record says "failed", and why."""
    try:
        yield
    except BaseException as error:  # SystemExit and KeyboardInterrupt end a run as well
        signalled = {130: "interrupted", 143: "terminated"}.get(signal_exit_code(error) or 0)
        message = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
        with suppress(OSError):  # a full disk: the error itself is the one to show
            run.update(
                status="failed", error=signalled or message, traceback=traceback.format_exc()
            )
        raise


def signal_exit_code(error: BaseException) -> int | None:
    """130 after Ctrl-C, 143 after SIGTERM, None after anything else."""
    if type(error).__name__ == "SIGTERMException":  # Lightning's, not imported for this
        return 143
    # Lightning turns Ctrl-C into exit(1), with the interrupt as context.
    interrupted = (error, error.__context__)
    return 130 if any(isinstance(item, KeyboardInterrupt) for item in interrupted) else None


def write_atomically(path: Path, content: bytes) -> None:
    """Write under a temporary name in the same folder, then rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


def code_version() -> dict[str, Any]:
    """`git_commit` and `git_dirty` of this checkout; both None outside one."""
    checkout = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(checkout), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        # An installed package may lie inside somebody else's repository.
        if Path(git("rev-parse", "--show-toplevel")).resolve() == checkout:
            dirty = bool(git("status", "--porcelain"))
            return {"git_commit": git("rev-parse", "HEAD"), "git_dirty": dirty}
    except (OSError, subprocess.SubprocessError):
        pass
    return {"git_commit": None, "git_dirty": None}
