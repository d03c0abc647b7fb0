"""A claim under the readings of its source: what the source left open, in all that is compared.

A side of a claim that is an experiment is taken under each reading that the experiment lists
(`fmnist.config.readings`). A reading that one side's experiment does not list, as of a momentum
that its optimiser does not have, leaves that side as it is. How verdicts follow:
`fmnist.evidence.verdict`.
"""

from dataclasses import replace

from omegaconf import OmegaConf

from fmnist.config.folders import cached_by_folders, option_file
from fmnist.config.readings import OURS, Reading, key_of, readings, words
from fmnist.evidence.claim import Claim, Selection
from fmnist.evidence.matching import composed
from fmnist.runs.rows import canonical


def name_of(reading: Reading) -> str:
    """ "aug=flip optim.lr=0.05"; of ours "our reading"."""
    return words(reading) if reading else "our reading"


@cached_by_folders
def readings_of(experiment: str) -> tuple[Reading, ...]:
    """Ours first; ours alone of an experiment that lists none, or that there is not.

    Raises:
        ConfigError: it lists something else.
    """
    if option_file("experiment", experiment) is None:
        return (OURS,)
    node = composed((f"experiment={experiment}",)).readings
    return tuple(readings(OmegaConf.to_container(node) if node else None))


@cached_by_folders
def runs_readings(ablation: str) -> bool:
    """Whether every cell runs under every reading of its experiment."""
    path = option_file("ablation", ablation)
    return bool(path and OmegaConf.select(OmegaConf.load(path), "hydra.sweeper.readings"))


def experiments(claim: Claim) -> list[str]:
    """Of its sides; none where one of them is no single experiment."""
    named = [selection.get("experiment", ()) for selection in claim.selections]
    return [names[0] for names in named] if all(len(names) == 1 for names in named) else []


def under_readings(claim: Claim) -> list[tuple[Reading, Claim]]:
    """The claim under every reading that sets nothing that it fixes itself; ours first.

    Empty where there is none but ours.
    """
    listed = dict.fromkeys(r for name in experiments(claim) for r in readings_of(name))
    fixed = {key for selection in claim.selections for key in selection}
    asked = [reading for reading in listed if not fixed & set(map(key_of, reading))]
    return [(reading, _under(claim, reading)) for reading in asked] if len(asked) > 1 else []


def _under(claim: Claim, reading: Reading) -> Claim:
    settings = {key: canonical(value) for key, _, value in (s.partition("=") for s in reading)}

    def read(selection: Selection) -> Selection:
        given = claim.where | selection
        listed = reading in readings_of(given["experiment"][0])
        return given | {key: (value,) for key, value in settings.items()} if listed else given

    if not (claim.higher or claim.same):
        return replace(claim, where=read({}))
    higher, lower, same = (tuple(map(read, s)) for s in (claim.higher, claim.lower, claim.same))
    return replace(claim, where={}, higher=higher, lower=lower, same=same)
