"""The study in a search's folder, which is asked for trials of one kind."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fmnist.errors import ConfigError
from fmnist.runs.text import in_eighty, plural, shown

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)
KIND = "kind"  # the study's: what its trials have in common
TAKEN_UP = "taken_up"  # the study's: numbers of trials that were asked for again
SEEDS, DIRECTION = "hydra.sweeper.seeds", "hydra.sweeper.direction"


def kind_of(
    space: "Mapping[str, BaseDistribution]", hash_of: Callable[[list[str]], str], seeds: int
) -> dict[str, Any]:
    """What the trials of a search have in common, by name. Only such values can be compared.

    Args:
        space: what is searched.
        hash_of: of the configuration of a trial; takes what the trial sets of the space.
        seeds: of a trial.
    """
    from optuna.distributions import distribution_to_json

    words = {key: distribution_to_json(item) for key, item in space.items()}
    return {
        "space": _digest(words),
        "configuration": _digest([hash_of(trial) for trial in examples(space)]),
        SEEDS: seeds,
    }


def examples(space: "Mapping[str, BaseDistribution]") -> list[list[str]]:
    """Trials in which every choice of the space occurs, as few as can be."""
    values: dict[str, Any] = {
        key: getattr(item, "choices", None) or [getattr(item, "low", None)]
        for key, item in space.items()
    }
    return [
        [f"{key}={of_key[number % len(of_key)]}" for key, of_key in values.items()]
        for number in range(max(map(len, values.values())))
    ]


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def require_kind(study: "Study", kind: Mapping[str, Any], direction: str, folder: Path) -> None:
    """The study's trials are of this kind, or it has none yet. One of before kinds were kept is
    taken as it is.

    Args:
        direction: of this search; Optuna goes on in the study's own, and says nothing.
        folder: of the search.

    Raises:
        ConfigError: they are of another kind.
    """

    now = {DIRECTION: direction, **kind}
    then = {DIRECTION: study.direction.name.lower(), **study.user_attrs.get(KIND, kind)}
    others = [key for key in now if then.get(key) != now[key]]
    if "space" in others and "configuration" in others:
        others.remove("configuration")  # whose examples are drawn from the space
    if others:
        words = [
            f"{key}={then.get(key)}" if key in (SEEDS, DIRECTION) else f"another {key}"
            for key in others
        ]
        raise ConfigError(
            f"{shown(folder)}: holds a search with {' and '.join(words)}, whose trials are not "
            "comparable; choose another hydra.sweep.dir, or delete that folder"
        )
    if KIND not in study.user_attrs:
        study.set_user_attr(KIND, dict(kind))


def take_up(study: "Study") -> int:
    """How many trials have ended; those that were running are asked for again, as they were."""
    import optuna

    state = optuna.trial.TrialState
    taken_up = set(study.user_attrs.get(TAKEN_UP, []))
    for trial in study.get_trials(states=[state.RUNNING]):
        taken_up.add(trial.number)
        study.set_user_attr(TAKEN_UP, sorted(taken_up))
        study.tell(trial.number, state=state.FAIL)
        if trial.params:
            study.enqueue_trial(trial.params)
    ended = study.get_trials(states=[state.COMPLETE, state.FAIL, state.PRUNED])
    return sum(trial.number not in taken_up for trial in ended)


def tell_best(study: "Study") -> int:
    """Say which trial is the best: 0, or 1 when none has a result."""
    done = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    taken_up = set(study.user_attrs.get(TAKEN_UP, []))
    lost = [t for t in study.trials if t.state.name == "FAIL" and t.number not in taken_up]
    failed = f"{len(lost)} failed" if lost else ""
    if not done:
        log.error("no trial has a result%s", failed and f": {failed}")
        return 1

    best = study.best_trial
    words = " ".join(f"{key}={value}" for key, value in best.params.items())
    counted = f"{plural(len(done), 'trial')} with a result{failed and f', {failed}'}"
    log.info("\n%s; the best: val acc %.4f", counted, best.value)
    log.info("%s", in_eighty(words, indent=0))
    return 0
