"""The YAML files of claims, read and checked; what stands in them: `fmnist.evidence.claim`."""

import math
import re
from collections.abc import Callable, Set
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from fmnist.config.explain import explain
from fmnist.config.folders import cached_by_folders, option_file
from fmnist.config.schema import CONF_DIR, Config
from fmnist.config.words import near
from fmnist.evidence.claim import MARGIN, Claim, ClaimError, Selection, is_share
from fmnist.runs.convergence import TARGETS
from fmnist.runs.corrupted import METRICS as CORRUPTED
from fmnist.runs.foreign_text import escaped_values
from fmnist.runs.rows import INFERENCE, NUMBERS, canonical

# claims/ lies inside the package in a wheel and beside it in a checkout.
_packaged = Path(__file__).parents[1] / "claim_files"
CLAIMS_DIR = _packaged if _packaged.is_dir() else Path(__file__).parents[2] / "claims"
RESULTS_DIR = Path(__file__).parents[2] / "results"  # the committed rows, in a checkout

SPLITS = ("train/loss", "train/acc", "val/loss", "val/acc", "test/loss", "test/acc")
# What a claim may be about, beside F1 and recall of single classes.
CLAIMABLE = (
    *NUMBERS, *SPLITS, *(f"{name}_last" for name in SPLITS), "val/acc_best", "val/acc_setback",
    "val/loss_setback", "val/acc_area", "val/acc_first", "test/f1", INFERENCE,
    *CORRUPTED,
    *(f"{what}_to/{target:.2f}" for what in ("epochs", "seconds") for target in TARGETS),
)  # fmt: skip
GROUPS = (*(item.name for item in fields(Config)), "experiment", "without")
# Nothing that a shell or Hydra would carry out, and no path.
SETTING = re.compile(r"\+?\w[\w.]*=(?!\.)[\w.,+\- \[\]]*", re.ASCII)
BY_CLASS = ("test/f1", "test/recall")  # "test/f1/Shirt"
VALUES = ("about", "at_least", "at_most", "costs")
COMPARISONS = ("higher", "same", *VALUES, "best_classes", "worst_classes")
SETTINGS = 'settings: {aug: "off"}'
KEYS = {item.name for item in fields(Claim)} - {"name"}
T = TypeVar("T")


def load_claims(folder: Path) -> list[Claim]:
    """Every claim of a folder, ordered by file and, within a file, as they stand there.

    Raises:
        ClaimError: there are none, one of them is wrong, or two have the same name.
    """
    paths = sorted(folder.glob("*.yaml"))
    for path in sorted(folder.glob("*.yml")):  # of which nothing would be said
        raise ClaimError(f"{path}: is not read: call it {path.with_suffix('.yaml').name}")
    if not paths:
        raise ClaimError(f"{folder}: holds no claim (*.yaml)")
    where: dict[str, Path] = {}
    claims = []
    for path in paths:
        for claim in load_file(path):
            if claim.name in where:
                raise ClaimError(f"{path}: {claim.name}: {where[claim.name]} has this name, too")
            where[claim.name] = path
            claims.append(claim)
    return claims


def load_file(path: Path) -> list[Claim]:
    """The claims of one file.

    Raises:
        ClaimError: naming the file, the claim, the key and what would be right.
    """
    return read_claims(path, KEYS, _claim)


def read_claims(path: Path, keys: Set[str], read: Callable[[str, dict[str, Any]], T]) -> list[T]:
    """The claims of one file, of any kind.

    Args:
        keys: of a claim; a file that has one of them at the top holds one claim.
        read: makes a claim of its name and its keys with their values.

    Raises:
        ClaimError: naming the file, the claim, the key and what would be right.
    """
    from omegaconf import OmegaConf

    name = ""
    try:
        content = escaped_values(OmegaConf.to_container(OmegaConf.load(path)), keep="\n")
        if not isinstance(content, dict) or not content:
            raise ClaimError("should be a mapping of names to claims")
        if keys & {str(key) for key in content}:  # of one claim alone
            return [read(path.stem, {str(key): value for key, value in content.items()})]
        claims = []
        for key, values in content.items():
            name = str(key)
            if not isinstance(values, dict):
                raise ClaimError("should be a mapping of keys to values")
            claims.append(read(name, {str(key): value for key, value in values.items()}))
        return claims
    except Exception as error:
        message = (
            str(error)
            if isinstance(error, OSError | ValueError | RecursionError)
            else explain(error, [])
        )
        if message is None:
            raise
        raise ClaimError(": ".join(map(str, filter(None, (path, name, message))))) from error


def _claim(name: str, content: dict[str, Any]) -> Claim:
    for key in content:
        if key not in KEYS:
            raise ClaimError(f"{key}: no such key{near(key, KEYS)}")
    for key in ("claim", "source", "sweep"):
        if not isinstance(content.get(key), str) or not content[key].strip():
            raise ClaimError(f"{key}: should be text" if key in content else f"{key}: is missing")
    _check_sweep(content["sweep"])
    asked = [key for key in COMPARISONS if key in content]
    if ("higher" in content) != ("lower" in content):
        raise ClaimError("higher and lower: give both")
    if len(asked) != 1:
        given = f"not {' and '.join(asked)}" if asked else "there is none"
        raise ClaimError(f"should have one comparison of {', '.join(COMPARISONS)}; {given}")
    values = {key: _values(key, content[key]) for key in VALUES if key in content}
    classes = [key for key in ("best_classes", "worst_classes") if key in content]
    if values and "metric" in content:
        raise ClaimError(f"metric: {asked[0]} names the metrics itself")
    metric = content.get("metric", "test/f1" if classes else "test/acc")
    _check_metric("metric", metric, BY_CLASS if classes else ())
    sides = read_sides(content, _selection, SETTINGS)
    named = {key: _names(key, content[key]) for key in classes}
    return Claim(
        name=name,
        claim=" ".join(content["claim"].split()),
        source=" ".join(content["source"].split()),
        sweep=_study_first(content["sweep"]),
        where=_selection("where", content.get("where", {})),
        metric=metric,
        margin=_margin(content, list(values.get("about", {metric: 0.0}))),
        **sides,
        about=values.get("about", {}),
        at_least=values.get("at_least", {}),
        at_most=values.get("at_most", {}),
        costs=values.get("costs", {}),
        best_classes=named.get("best_classes", ()),
        worst_classes=named.get("worst_classes", ()),
        looks=checked_looks(content.get("looks", [])),
        note=str(content.get("note", "")).strip(),
    )


def _check_sweep(sweep: str) -> None:
    """A sweep is shown as a command to type and is composed: settings only, plain ones."""
    for word in sweep.split():
        key = word.lstrip("+").partition("=")[0]
        if not SETTING.fullmatch(word) or key.partition(".")[0] not in (*GROUPS, "ablation"):
            raise ClaimError(f"sweep: {word}: should be an ablation, an experiment, or a setting: "
                             "ablation=NAME optim.lr=0.1")  # fmt: skip


def _study_first(sweep: str) -> str:
    """However its words stand: the first says which study it is."""
    words = sweep.split()
    return " ".join(sorted(words, key=lambda word: not word.startswith("ablation=")))


def looks_of(claim: Claim) -> tuple[int, ...]:
    """At how many seeds a claim is judged: its own looks, or those of its sweep's file.

    None are declared where the sweep is no file of conf/ablation.

    Raises:
        ClaimError: the file declares something else.
    """
    return claim.looks or declared_looks(claim.study)


@cached_by_folders
def declared_looks(study: str) -> tuple[int, ...]:
    """The looks of one file of conf/ablation."""
    from omegaconf import OmegaConf

    path = option_file("ablation", study)
    if path is None:
        return ()
    try:
        return checked_looks(OmegaConf.to_container(OmegaConf.load(path)).get("looks") or [])  # type: ignore[union-attr]
    except ClaimError as error:
        raise ClaimError(f"{path}: {error}") from error


def checked_looks(node: Any) -> tuple[int, ...]:
    """Rising numbers of seeds."""
    right = isinstance(node, list) and all(isinstance(look, int) and look >= 3 for look in node)
    if not right or sorted(set(node)) != node:
        raise ClaimError(f"looks: {node}: should be rising numbers of seeds, 3 or more: [5, 10]")
    return tuple(node)


def _check_metric(key: str, metric: Any, only: tuple[str, ...] = ()) -> None:
    options = only or CLAIMABLE
    by_class = not only and isinstance(metric, str) and metric.startswith(
        tuple(f"{name}/" for name in BY_CLASS)
    )  # fmt: skip
    if metric not in options and not by_class:
        shown = f" of {', '.join(only)}" if only else ""
        raise ClaimError(f"{key}: {metric}: should be a metric{shown}{near(str(metric), options)}")


def _margin(content: dict[str, Any], metrics: list[str]) -> float:
    if without := sorted({"at_least", "at_most", "costs"} & set(content)):
        if "margin" in content:
            raise ClaimError(f"margin: {without[0]} has none")
        return 0.0
    if "margin" not in content:
        without = [metric for metric in metrics if not is_share(metric)]
        if without:
            raise ClaimError(f"margin: is missing, and there is no default for {without[0]}")
        return MARGIN
    margin = content["margin"]
    if not _is_number(margin) or margin < 0:
        raise ClaimError(f"margin: {margin}: should be a number, 0 or more")
    return float(margin)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _values(key: str, node: Any) -> dict[str, float]:
    if not isinstance(node, dict) or not node:
        raise ClaimError(f"{key}: should be metrics with their values: {{test/acc: 91.0}}")
    for metric, value in node.items():
        _check_metric(key, metric)
        if not _is_number(value):
            raise ClaimError(f"{key}: {metric}: {value}: should be a number")
        check_percent(key, metric, value)
    return {str(metric): float(value) for metric, value in node.items()}


def check_percent(key: str, metric: str, value: float) -> None:
    """Accuracies become percent, so that 0.9 would be said of one in a hundred.

    Raises:
        ClaimError: an accuracy is given as a share.
    """
    if is_share(metric) and not 1 < value <= 100 and not metric.endswith("setback"):
        raise ClaimError(f"{key}: {metric}: {value}: should be in percent")


def _names(key: str, node: Any) -> tuple[str, ...]:
    if not isinstance(node, list) or not node or not all(isinstance(name, str) for name in node):
        raise ClaimError(f"{key}: should be a list of classes")
    return tuple(node)


def read_sides(
    content: dict[str, Any], select: Callable[[str, Any], Selection], right: str
) -> dict[str, tuple[Selection, ...]]:
    """What a claim of any kind compares, by key; a side may be a list of selections.

    Args:
        content: the claim's keys with their values.
        select: reads one selection.
        right: what a side should be.

    Raises:
        ClaimError: it is something else.
    """
    sides: dict[str, tuple[Selection, ...]] = dict.fromkeys(("higher", "lower", "same"), ())
    for key in [key for key in sides if key in content]:
        nodes = content[key] if isinstance(content[key], list) else [content[key]]
        sides[key] = tuple(select(key, node) for node in nodes)
        if not sides[key] or not all(sides[key]):
            raise ClaimError(f"{key}: should be {right}, or a list of such")
        if key == "same" and len(sides[key]) != 2:
            raise ClaimError("same: should be a list of two selections")
    one, other = sides["same"][:1] or sides["higher"], sides["same"][1:] or sides["lower"]
    if any(selection in other for selection in one):
        raise ClaimError("both sides are the same selection: nothing is compared")
    return sides


def lists_of(key: str, node: Any, right: str) -> dict[str, list[Any]]:
    """The values of a selection, by name; one value is a list of one.

    Raises:
        ClaimError: it is none, or a list is empty.
    """
    if not isinstance(node, dict):
        raise ClaimError(f"{key}: should be {right}")
    lists = {str(name): v if isinstance(v, list) else [v] for name, v in node.items()}
    for name, values in lists.items():
        if not values or any(isinstance(value, dict) for value in values):
            raise ClaimError(f"{key}: {name}: should be a value or a list of values")
    return lists


def _selection(key: str, node: Any) -> Selection:
    selection = {}
    for name, values in lists_of(key, node, SETTINGS).items():
        if name.partition(".")[0] not in GROUPS:
            raise ClaimError(f"{key}: {name}: no such setting{near(name, GROUPS)}")
        for item in values:
            if not SETTING.fullmatch(f"{name}={canonical(item)}"):
                raise ClaimError(f"{key}: {name}: {item}: should be a plain value of a setting")
        if name == "seed":
            raise ClaimError(f"{key}: seed: runs are matched by it")
        option = name == "experiment" or (CONF_DIR / name).is_dir()
        if option and not all(isinstance(item, str) for item in values):
            said = canonical(values if values[1:] else values[0])
            raise ClaimError(f"{key}: {name}: {said}: should be an option's name; "
                             'quote "on" and "off"')  # fmt: skip
        selection[name] = tuple(map(canonical, values))
    return selection


def asked_claims(folder: str | None) -> list[Claim]:
    """The claims of a folder, or the project's.

    Raises:
        ClaimError: no such folder, or one of its claims is wrong.
    """
    if folder is None and not (claims := project_claims()):
        raise ClaimError(f"{CLAIMS_DIR}: holds no claim; --claims FOLDER names your own")
    if folder is None:
        return claims
    if not Path(folder).is_dir():
        raise ClaimError(f"{folder}: no such folder of claims")
    return load_claims(Path(folder))


def project_claims() -> list[Claim]:
    """Those that come with the project; none where somebody has removed them for their own.

    Raises:
        ClaimError: one of them is wrong.
    """
    return [*_project_claims(CLAIMS_DIR)]


@cached_by_folders
def _project_claims(folder: Path) -> list[Claim]:
    """They count in every family: a command asks for them many times."""
    return load_claims(folder) if any(folder.glob("*.yaml")) else []
