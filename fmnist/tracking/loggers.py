"""The dashboards that know our runs: each is a context around one of them.

metrics.csv is not among them: it belongs to the run directory and is always written. Any logger of
Lightning's may stand beside them: see `fmnist.tracking.dashboard`.
"""

import logging
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fmnist.config.environment import wandb_mode
from fmnist.errors import UserError
from fmnist.runs.leak import LEAK
from fmnist.runs.text import shown

if TYPE_CHECKING:
    import wandb
    from lightning.pytorch.loggers import Logger

    from fmnist.data.datamodule import ImageData
    from fmnist.runs.job import Job
    from fmnist.runs.run import Run

log = logging.getLogger(__name__)


# What this process found out, for itself and for the processes that it starts.
HINTED, SERVER = "FMNIST_WANDB_HINTED", "FMNIST_WANDB_SERVER"


@contextmanager
def tensorboard_logger(job: "Job", config: dict[str, Any]) -> "Iterator[Logger]":
    """TensorBoard event files in the run directory.

    A run that goes on tells its loggers all rows of before again: those of earlier files count no
    more.

    Raises:
        UserError: the tensorboard package is not installed.
    """
    from lightning.pytorch.loggers import TensorBoardLogger

    try:
        logger = TensorBoardLogger(job.dir, name="", version="tensorboard", purge_step=0)
    except ModuleNotFoundError as error:
        raise UserError("logger=tensorboard: pip install 'fmnist[tensorboard]' first") from error
    try:
        yield logger
    finally:
        logger.finalize("")  # writes what is still in memory; TensorBoard has no status


@contextmanager
def wandb_logger(
    job: "Job",
    config: dict[str, Any],
    project: str = "fmnist",
    entity: str | None = None,
    mode: Literal["auto", "online", "offline", "disabled"] = "auto",
    media: bool = True,
    checkpoint: bool = True,
) -> "Iterator[Logger]":
    """One Weights & Biases run, closed with the job's own fate: finished or failed.

    The run is opened here and not by Lightning, which would leave it open for the next job of a
    sweep. All runs share one ./wandb folder, so that `wandb leet` and `wandb sync` need no
    arguments.

    Args:
        job: names, groups and tags the run.
        config: the resolved configuration; it stands under `cfg`, and the group choices as
            scalars beside it, so that dashboards can filter and colour by them.
        project, entity: W&B's.
        mode: "auto": WANDB_MODE if set; else online when there is a key, offline without one.
        media, checkpoint: what `publish` adds at the end.

    Raises:
        UserError: WANDB_MODE, or online without a key.
        OSError: its folder cannot be written.
    """
    from fmnist.runs.origin import package_versions
    from fmnist.tracking.resumed import STEP, OnwardLogger

    folder = _project_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):  # W&B would write to the system's temporary folder
        raise PermissionError(f"{folder}: cannot be written")
    run = _open(mode, {
        "project": project,
        "entity": entity,
        "dir": folder,
        "job_type": "train",
        "reinit": "create_new",  # one W&B run a job, also when jobs share a process
        # One W&B run, however often the job is stopped and goes on.
        "id": job.dashboard_id,
        "resume": "allow",
        # W&B's limits: names of 128, tags of 64 characters.
        "name": _name(job)[:128],
        "group": os.environ.get("WANDB_RUN_GROUP") or job.group,
        "tags": list(dict.fromkeys(tag[:64] for tag in [*tags(job), *config["tags"], *_tags()])),
        "config": {
            **job.choices,
            "seed": config["seed"],
            "versions": package_versions(),
            "cfg": config,
        },
    })  # fmt: skip
    # With a run of ours Lightning defines no step metric.
    run.define_metric(STEP)
    run.define_metric("*", step_metric=STEP, step_sync=True)
    if run.resumed:  # and has its summary back, with why it was stopped before
        del run.summary["error"]  # type: ignore[no-untyped-call]
    if config["data"].get("select_on") == "test":
        run.summary["warning"] = LEAK
    try:
        yield OnwardLogger(run)
    except BaseException as error:  # not `with run`, which prints a traceback
        run.summary["error"] = f"{type(error).__name__}: {error}"
        run.finish(exit_code=1)
        raise
    where = shown(Path(run.settings.sync_dir)) if run.offline else run.url
    run.finish()
    if where:  # a disabled one is nowhere
        log.info("W&B    %s", where)


def _name(job: "Job") -> str:
    """WANDB_NAME for a run, which a cell adds its own to: it is called as its folder is."""
    given = os.environ.get("WANDB_NAME")
    if job.group:
        return " ".join(filter(None, [given, job.dir.name]))
    return given or job.name


def _tags() -> list[str]:
    return [tag.strip() for tag in os.environ.get("WANDB_TAGS", "").split(",") if tag.strip()]


def _project_folder() -> Path:
    """Where W&B's folder lies, absolute: its service keeps the directory in which it was started.

    Media, artifacts and logs go there, too. Otherwise they go to the home directory, and a copied
    project lacks them.
    """
    folder = Path(os.environ.get("WANDB_DIR", ".")).absolute()
    for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR"):
        os.environ.setdefault(name, str(folder / "wandb"))
    return folder


def tags(job: "Job") -> list[str]:
    """By what a dashboard finds the job: overrides, experiment and ablation, source, claims.

    Options of these two groups begin with the study that they come from: s2_best gives S2.
    """
    named = [job.choices.get(group) for group in ("experiment", "ablation")]
    options = [name for name in named if name]
    sources = [name[:2].upper() for name in options if re.match(r"s\d_", name)]
    claims = [f"claim:{name}" for name in claims_tested_by(job.choices)]
    return list(dict.fromkeys([*job.overrides, *options, *sources, *claims]))


def claims_tested_by(choices: Mapping[str, str]) -> list[str]:
    """Names of the claims that a study is the test of, without parsing the YAML files.

    The same ablation of another experiment may be the test of another claim: of those whose command
    has these options, the ones that name most of them; of an experiment that none names, of none.
    """
    from fmnist.evidence.claim_file import CLAIMS_DIR
    from fmnist.evidence.study import experiments_of

    found, name = dict[int, list[str]](), ""
    options = {f"{group}={option}" for group, option in choices.items()}
    for path in sorted(CLAIMS_DIR.glob("*.yaml")) if "ablation" in choices else []:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.endswith(":") and line[0] not in " #":
                name = line[:-1]
            elif line.startswith("  sweep: ablation="):
                words = line.split()[1:]
                if options.issuperset(words):
                    found.setdefault(len(words), []).append(name)
    if not found:
        return []
    most = max(found)
    asked, chosen = experiments_of(choices["ablation"]), choices.get("experiment")
    own = chosen in asked if asked else chosen is None
    return found[most] if most > 1 or own else []


def prepare(nodes: dict[str, Any]) -> list[str]:
    """What a sweep does once, before the processes of its cells are started.

    Without it every cell would say that there is no key, or wait for an unreachable server. What
    is found out stands in the environment, which processes started from now on inherit.

    Args:
        nodes: the configuration of the logger group.

    Returns:
        Modules to import in the process from which the cells are forked: a W&B run then opens in
        a quarter of a second instead of more than one.

    Raises:
        UserError: online is asked for and there is no key.
    """
    node = _wandb_node(nodes)
    if node is None:
        return ["lightning.pytorch.loggers"]
    _project_folder()
    try:
        _resolve(node.get("mode", "auto"))
    except UserError:
        raise
    except Exception as error:  # each cell notes it in its record
        log.warning("W&B    %s: %s", type(error).__name__, str(error).strip().partition("\n")[0])
    wandb_imports_late = [
        "requests", "PIL.PngImagePlugin", "opentelemetry.exporter.otlp.proto.http.metric_exporter",
        "wandb.sdk.launch", "pandas",  # where it is installed
    ]  # fmt: skip
    return ["lightning.pytorch.loggers", "wandb", *wandb_imports_late, "fmnist.tracking.figures"]


def _wandb_node(nodes: dict[str, Any]) -> dict[str, Any] | None:
    """The one that `wandb_logger` opens."""
    target = f"{__name__}.{wandb_logger.__name__}"
    return next((node for node in nodes.values() if node["_target_"] == target), None)


def publish(
    logger: "Logger", summary: Mapping[str, float], step: int, run: "Run", data: "ImageData"
) -> None:
    """Show what a trained run can do: its numbers, its test set's figures, its best checkpoint.

    To be called after predictions.npz is written and the metrics are in the record.

    Args:
        logger: any; only W&B's and TensorBoard's show figures.
        summary: what dashboards sort runs by. W&B has a place for these, and would draw a curve of
            one point of each, before the curves of the training.
        step: the last one.
        run: its directory is complete but for its last state.
        data: the run's, loaded, for the images.
    """
    from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

    if not isinstance(logger, WandbLogger):
        logger.log_metrics(dict(summary), step)
    elif not logger.experiment.disabled:
        from fmnist.tracking.figures import best_checkpoint, figures

        node, numbers = _wandb_node(run.config["logger"]) or {}, dict(summary)
        if node.get("media", True):
            shown = figures(run, data.test_images)
            numbers |= {key: shown.pop(key) for key in [*shown] if isinstance(shown[key], float)}
            logger.experiment.log(shown)
        logger.experiment.summary.update(numbers)
        if node.get("checkpoint", True):
            logger.experiment.log_artifact(
                best_checkpoint(run, logger.experiment.id), aliases=["best"]
            )
    if isinstance(logger, TensorBoardLogger):
        from fmnist.tracking.figures import confusion_figure

        logger.experiment.add_figure("test/confusion_matrix", confusion_figure(run), step)


def _open(mode: str, arguments: dict[str, Any]) -> "wandb.Run":
    """wandb.init, without a prompt and without a long wait."""
    import wandb

    settings = wandb.Settings(
        init_timeout=20,
        silent=True,  # what it has to say, this module says in a line
        # The default of 15 s loses everything of a run that is killed earlier.
        x_transaction_log_flush_interval=1,
        x_save_requirements=False,  # a tenth of a second; the versions that matter are in config
    )
    _use_no_service_of_another_process()
    mode = _resolve(mode)
    try:
        return wandb.init(mode=mode, settings=settings, **arguments)  # type: ignore[arg-type]
    except wandb.errors.CommError as error:
        if mode != "online":
            raise
        _give_up_on_the_server(str(error).partition("\n")[0])
        return wandb.init(mode="offline", settings=settings, **arguments)


def _use_no_service_of_another_process() -> None:
    """The service that writes the run ends with the process that started it.

    W&B lets children inherit a parent's, which then records a killed child as finished, exit code
    0. The address begins with protocol version and the owner's process id.
    """
    if os.environ.get("WANDB_SERVICE", "").split("-")[1:2] != [str(os.getpid())]:
        os.environ.pop("WANDB_SERVICE", None)


def _resolve(mode: str) -> str:
    """WANDB_MODE for "auto" if set, else online when there is a key and the server answers.

    Raises:
        UserError: online is asked for and there is no key: W&B would prompt, or fail; WANDB_MODE
            is none of W&B's modes.
    """
    given = wandb_mode()
    if not given:  # W&B itself would refuse an empty one
        os.environ.pop("WANDB_MODE", None)
    elif mode == "auto":
        mode = given
    if mode not in ("auto", "online"):
        return mode
    if SERVER in os.environ or has_key():
        return "online" if _server_answers() else "offline"
    if mode == "online":
        raise UserError("logger.wandb.mode=online: W&B has no API key; wandb login first, or auto")
    if HINTED not in os.environ:
        log.info("W&B    no API key: offline. See it: wandb leet. Upload: wandb login, wandb sync")
        os.environ[HINTED] = "1"
    return "offline"


def has_key() -> bool:
    """Whether W&B finds an API key, without asking for one."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))  # login would tell how it found the key
    try:
        return bool(wandb.login(prompt=False, verify=False))
    except wandb.errors.AuthenticationError:  # a malformed key
        return False


def _server_answers() -> bool:
    """Asked once, for this process and those that it starts: W&B itself would wait for long."""
    if SERVER not in os.environ:
        import wandb

        address = wandb.setup().settings.base_url
        try:
            urllib.request.urlopen(address, timeout=10).close()
        except urllib.error.HTTPError:
            pass  # an answer
        except OSError as error:
            # A certificate that only W&B is told to trust is an answer, too.
            if not isinstance(getattr(error, "reason", None), ssl.SSLError):
                _give_up_on_the_server(f"unreachable, {getattr(error, 'reason', error)}")
        os.environ.setdefault(SERVER, "answers")
    return os.environ[SERVER] == "answers"


def _give_up_on_the_server(reason: str) -> None:
    log.warning("W&B    %s: offline. Upload later: wandb sync", reason)
    os.environ[SERVER] = "unreachable"
