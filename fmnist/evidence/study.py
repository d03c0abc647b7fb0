"""What belongs to a study: runs whose settings are those of one of its cells, with any seed, and
under any reading where it runs them.

A study is a file of conf/ablation, an experiment of conf/experiment, or a claim's `sweep`, such as
`ablation=leak experiment=s2_base`. A part of its levels and other seeds belong to it; a level that
it does not have does not, and neither does a run that differs in any setting besides, such as one
of a single epoch, on other data, or of a time when the study was defined otherwise.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from fmnist.config.folders import cached_by_folders, option_file, options_of
from fmnist.config.readings import OURS, key_of
from fmnist.config.schema import look_up
from fmnist.config.words import near
from fmnist.errors import ConfigError
from fmnist.evidence.claim import Claim, ClaimError
from fmnist.evidence.matching import settings_of
from fmnist.evidence.readings import readings_of, runs_readings
from fmnist.runs.rows import canonical, flatten, is_value

# What one has at hand, and no result depends on by intent.
DEVICES = ("trainer.accelerator", "trainer.devices", "trainer.strategy")
SHOWN = 3  # settings that are named of a run that does not belong


def is_study(name: str) -> bool:
    """Whether an ablation or an experiment has that name."""
    return is_ablation(name) or _is_option("experiment", name)


def is_ablation(name: str) -> bool:
    """Whether it is one of conf/ablation."""
    return _is_option("ablation", name)


def _is_option(group: str, name: str) -> bool:
    return bool(re.fullmatch(r"\w[\w-]*", name) and option_file(group, name))


def _file(ablation: str) -> DictConfig | ListConfig:
    """What stands in the file of an ablation.

    Raises:
        ConfigError: there is none.
    """
    path = option_file("ablation", ablation)
    if path is None:
        raise ConfigError(f"ablation={ablation}: no such option")
    return OmegaConf.load(path)


def definitions(study: str, claims: Iterable[Claim]) -> list[tuple[str, ...]]:
    """The arguments of `fmnist.train` that run a study, also as a claim's `sweep` has them."""
    if not is_ablation(study):
        return [(f"experiment={study}",)]
    sweeps = [tuple(claim.sweep.split()) for claim in claims]
    own = (f"ablation={study}",)
    return list(dict.fromkeys([own, *(sweep for sweep in sweeps if sweep[0] == own[0])]))


@cached_by_folders
def axes(ablation: str) -> dict[str, list[str]]:
    """The levels of every factor of an ablation, as its file writes them, without the seed."""
    params = OmegaConf.select(_file(ablation), "hydra.sweeper.params") or {}
    words = {"True": "true", "False": "false"}  # as settings are written
    return {
        str(key): [words.get(text, text) for text in _swept(key, levels)]
        for key, levels in params.items()
        if key != "seed"
    }


def _swept(key: Any, levels: Any) -> list[str]:
    """The levels of a setting in a sweep: "avg,max", "range(5)" or a single one."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    override = OverridesParser.create().parse_override(f"{key}={levels}")
    return [*override.sweep_string_iterator()] if override.is_sweep_override() else [str(levels)]


@cache
def as_in_rows(level: str) -> str:
    """A level as a row has the setting: without the quotes of Hydra's grammar, a list as JSON."""
    return canonical(_value(level))


@cache
def _value(level: str) -> Any:
    """What Hydra's grammar reads in the text of a level."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(f"key={level}").value()


@cached_by_folders
def sweep_of_readings(experiment: str) -> str:
    """The ablation that runs the experiment under its readings; "" where there is none."""
    sweeps = (name for name in ablations() if runs_readings(name))
    return next((name for name in sweeps if experiment in experiments_of(name)), "")


def ablations() -> list[str]:
    """The files of conf/ablation."""
    return options_of("ablation")


def refuse_unknown(claims: Iterable[Claim]) -> None:
    """Refuse claims of an ablation that is not here: at which looks they are judged it says.

    Raises:
        ClaimError: naming the claim, and the ablation that is near.
    """
    for claim in claims:
        group, study = claim.sweep.partition("=")[0], claim.study
        if group == "ablation" and not claim.looks and not is_ablation(study):
            hint = near(study, ablations()) or "; --config-dir names a folder of one's own"
            raise ClaimError(f"{claim.name}: sweep: ablation={study}: no such option{hint}")


def experiments_of(ablation: str) -> list[str]:
    """That an ablation sweeps, or the one that it is about."""
    if levels := axes(ablation).get("experiment"):
        return [as_in_rows(level) for level in levels]
    file = OmegaConf.to_container(_file(ablation))
    assert isinstance(file, dict)
    chosen = [item for item in file.get("defaults", []) if isinstance(item, dict)]
    return [str(item[key]) for item in chosen for key in item if str(key).endswith("/experiment")]


def first_seed(experiments: Iterable[str]) -> int:
    """From which seed on runs count under a reading: the first of the sweep that runs them."""
    sweeps = {sweep_of_readings(name) for name in experiments} - {""}
    return max(map(first_seed_of, sweeps), default=0)


@cached_by_folders
def first_seed_of(ablation: str) -> int:
    """The least of the seeds that its file names; 0 where it names but one, or none."""
    seeds = _swept("seed", OmegaConf.select(_file(ablation), "hydra.sweeper.params.seed"))
    return min(map(int, seeds)) if len(seeds) > 1 else 0


def misfit(
    study: str, config: Mapping[str, Any], choices: Mapping[str, Any], claims: Iterable[Claim]
) -> str:
    """Why a run does not belong to a study, in words; "" if it does.

    Only the cell with the run's own levels is composed. A setting that the run lacks did not exist
    when it was made.

    Args:
        config: the run's, resolved: what was asked for, not what a machine made of it.
        choices: the option that was chosen in every group.
        claims: whose sweeps count as the study's.

    Raises:
        ClaimError: the cell does not compose.
    """
    if not is_study(study):
        unknown = "no ablation or experiment of that name is defined here"
        return f"{unknown}; --config-dir names a folder of one's own" if study else "no study"
    found = [_misfit(overrides, config, choices) for overrides in definitions(study, claims)]
    wrong = min(found, key=len)
    rest = len(wrong) - SHOWN
    more = f" and {rest} more setting{'s' * (rest != 1)}" if rest > 0 else ""
    return ", ".join(wrong[:SHOWN]) + more


def _misfit(
    overrides: tuple[str, ...], config: Mapping[str, Any], choices: Mapping[str, Any]
) -> list[str]:
    """What of a run is otherwise than in one definition of a study."""
    group, _, name = overrides[0].partition("=")
    factors = axes(name) if group == "ablation" else {}
    # Not of its row, which leaves out what has Lightning's default.
    has = {key: look_up(dict(config), key_of(key)) for key in factors}
    levels = {key: _level_of(key, has[key], choices, texts) for key, texts in factors.items()}
    if strange := [key for key, level in levels.items() if level is None]:
        said = {key: canonical(has[key]) if is_value(key) else choices.get(key) for key in strange}
        return [f"{key}={said[key]} (there: {', '.join(factors[key])})" for key in strange]
    cell = (*overrides, *(f"{key}={level}" for key, level in levels.items()))
    under = readings_of(str(choices.get("experiment"))) if runs_readings(name) else (OURS,)
    own = {key: value for key, value in flatten(config).items() if is_value(key)}
    found = [
        [
            f"{key}={value} (there: {wanted.get(key, 'none')})"
            for key, value in own.items()
            if wanted.get(key) != value
            and (key not in DEVICES or key in factors)
            # Which file it is only the command line says: data=npz data.root=...
            and not (key == "data.name" and not wanted.get(key))
        ]
        for wanted in (settings_of((*cell, *reading)) for reading in under)
    ]
    return min(found, key=len)


def _level_of(
    factor: str, value: Any, choices: Mapping[str, Any], texts: Iterable[str]
) -> str | None:  # fmt: skip
    """Which of a factor's levels a run has, as the file writes it; None: another one.

    Args:
        value: that the run's configuration has under its key; of an option the choice counts.
    """
    has = canonical(value if is_value(factor) else choices.get(key_of(factor)))

    def fits(text: str) -> int:
        """How much of the run the level says: a dictionary is put into what was there before."""
        level = _value(text)
        if not isinstance(level, dict):
            return int(canonical(level) == has)
        within = flatten(value, (factor,)) if isinstance(value, dict) else {}
        said = flatten(level, (factor,))
        return 1 + len(said) if said.items() <= within.items() else 0

    return max((text for text in texts if fits(text)), key=fits, default=None)
