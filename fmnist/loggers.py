"""The dashboards: each option of the `logger` group is a context around one run.

metrics.csv is not among them: it belongs to the run directory and is always written.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmnist.errors import UserError

if TYPE_CHECKING:
    import wandb
    from lightning.pytorch.loggers import Logger

    from fmnist.launch import Launch

log = logging.getLogger(__name__)


@contextmanager
def csv_only(launch: "Launch", config: dict[str, Any]) -> Iterator[None]:
    """No dashboard."""
    yield None


@contextmanager
def tensorboard_logger(launch: "Launch", config: dict[str, Any]) -> "Iterator[Logger]":
    """TensorBoard event files in the run directory.

    Raises:
        UserError: the tensorboard package is not installed.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        logger = TensorBoardLogger(launch.dir, name="", version="tensorboard")
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard: pip install 'fmnist[tensorboard]' first") from error
    try:
        yield logger
    finally:
        logger.finalize("")  # writes what is still in memory; TensorBoard has no status


@contextmanager
def wandb_logger(
    launch: "Launch",
    config: dict[str, Any],
    project: str = "fmnist",
    entity: str | None = None,
    mode: Literal["auto", "online", "offline", "disabled"] = "auto",
) -> "Iterator[Logger]":
    """One Weights & Biases run, closed with the job's own fate: finished or failed.

    The run is opened here and not by Lightning, which would leave it open for the next job of a
    sweep. All runs share one ./wandb folder, so that `wandb leet` and `wandb sync` need no
    arguments.

    Args:
        launch: names, groups and tags the run.
        config: the resolved configuration; it stands under `cfg`, and the group choices as
            scalars beside it, so that dashboards can filter and colour by them.
        project, entity: W&B's.
        mode: "auto": WANDB_MODE if set; else online when there is a key, offline without one.
    """
    from lightning.pytorch.loggers import WandbLogger

    folder = Path(os.environ.get("WANDB_DIR", "."))
    # Otherwise media, artifacts and debug logs go to the home directory, and a copied project
    # lacks them.
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        os.environ.setdefault(name, str((folder / "wandb").absolute()))
    with _open(mode, {
        "project": project,
        "entity": entity,
        "dir": folder,
        "job_type": "train",
        "reinit": "create_new",  # one W&B run a job, also when jobs share a process
        "name": launch.name[:128],  # W&B's limits: names of 128, tags of 64 characters
        "group": launch.group,
        "tags": list(dict.fromkeys(override[:64] for override in launch.overrides)),
        "config": {**launch.choices, "seed": config["seed"], "cfg": config},
    }) as run:  # fmt: skip
        # With a run of ours Lightning defines no step metric.
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        yield WandbLogger(experiment=run)
        where = run.settings.sync_dir if run.offline else run.url
    log.info("W&B    %s", where)


def _open(mode: str, arguments: dict[str, Any]) -> "wandb.Run":
    """wandb.init, without a prompt and without a long wait."""
    import wandb

    settings = wandb.Settings(
        init_timeout=20,
        silent=True,  # what it has to say, this module says in a line
        # The default of 15 s loses everything of a run that is killed earlier.
        x_transaction_log_flush_interval=1,
    )
    mode = _resolve(mode)
    try:
        return wandb.init(mode=mode, settings=settings, **arguments)  # type: ignore[arg-type]
    except wandb.errors.CommError as error:
        if mode != "online":
            raise
        log.warning("W&B    unreachable (%s): offline for the rest of this process", error)
        _remember_offline()
        return wandb.init(mode="offline", settings=settings, **arguments)


_hint_given = False
_unreachable = False


def _remember_offline() -> None:
    """The wait for an unreachable server is paid once a process, not once a job."""
    global _unreachable
    _unreachable = True


def _resolve(mode: str) -> str:
    """WANDB_MODE for "auto" if set, else online when there is a key and the server answers.

    Raises:
        UserError: online is asked for and there is no key: W&B would prompt, or fail.
    """
    global _hint_given
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE", "auto")
    if mode not in ("auto", "online"):
        return mode
    if _unreachable:
        return "offline"
    if _has_key():
        return "online"
    if mode == "online":
        raise UserError("logger.mode=online: W&B has no API key; wandb login first, or mode=auto")
    if not _hint_given:
        log.info("W&B    no API key: offline. See it: wandb leet. Upload: wandb login, wandb sync")
        _hint_given = True
    return "offline"


def _has_key() -> bool:
    import wandb

    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.errors.AuthenticationError:  # a malformed key
        return False
