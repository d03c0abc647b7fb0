"""What a claim is, as YAML files say it (`fmnist.evidence.claim_file` reads and checks them).

    my_augmentation:                     # its name; a file may hold many
      claim: Without augmentation FashionCNN is better than with it.
      source: S1                         # where it was made
      sweep: ablation=s1_augmentation    # arguments of fmnist.train that test it
      where: {model: fashioncnn}         # settings of all its runs; may be left out
      metric: test/acc                   # the default
      margin: 0.2                        # smallest difference worth claiming; this is the default
      higher: {aug: "off"}               # A > B, see below for the other comparisons
      lower: {aug: "on"}

A file may also hold the keys of one claim alone, which then bears the file's name.

A claim may also have a `note`, shown with its verdict, and `looks` of its own where those of its
sweep's file do not fit (`fmnist.evidence.claim_file.looks_of`).

One of these comparisons (how they are judged: `fmnist.evidence.verdict`):

    higher: A, lower: B           the metric of A is above that of B; lists: each A, each B
    same: [A, B]                  they differ by less than the margin
    about: {metric: value}        the mean is within the margin of a published value
    at_least: {metric: value}     the mean is above a goal; at_most: below it
    best_classes: [Trouser, Bag]  these classes have the highest test/f1 (or `metric`)
    worst_classes: [Shirt]        these have the lowest
    costs: {metric: value}        of another machine, beside ours: seconds, memory; not judged

A and B select runs by settings: options of groups (`aug: "on"`) and values (`optim.lr: 0.001`). A
value that is a list asks for the mean over its runs (`trainer.max_epochs: [1, 10]`). `experiment:
NAME` selects the runs whose configuration is that of the experiment, however they were started.
Runs count on the data that these settings compose to, as those stand in conf/: the experiment's,
those of `data: NAME`, or else the whole of Fashion-MNIST. What differs from them (`data.train_size:
1000`) has to be named.

Numbers of accuracies, F1 and recall are percent here, differences of them points. Of how
fast a run came to its accuracy there are `val/acc_area`, `epochs_to/0.85` and others, see
`fmnist.runs.convergence`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fmnist.config.words import near
from fmnist.errors import UserError
from fmnist.runs.rows import INFERENCE

MARGIN = 0.2  # points
EXACT = ("params", "flops")
# A setting's allowed texts, by name; all of them must match.
Selection = dict[str, tuple[str, ...]]


class ClaimError(UserError):
    """A claim file that cannot be read or says something impossible."""


@dataclass(frozen=True)
class Claim:
    """A claim; the module's docstring says what the fields are.

    Values and margin are in the metric's unit as people write it, percent for shares.
    """

    name: str
    claim: str
    source: str
    sweep: str
    where: Selection = field(default_factory=dict)
    metric: str = "test/acc"
    margin: float = MARGIN
    higher: tuple[Selection, ...] = ()
    lower: tuple[Selection, ...] = ()
    same: tuple[Selection, ...] = ()
    about: dict[str, float] = field(default_factory=dict)
    at_least: dict[str, float] = field(default_factory=dict)
    at_most: dict[str, float] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)
    best_classes: tuple[str, ...] = ()
    worst_classes: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    note: str = ""

    @property
    def study(self) -> str:
        """The ablation or experiment whose runs test it; "" where none is named."""
        return self.sweep.partition(" ")[0].partition("=")[2]

    @property
    def values(self) -> dict[str, float]:
        """The published values or goals, by metric."""
        return self.about or self.at_least or self.at_most or self.costs

    @property
    def metrics(self) -> list[str]:
        """Those of its values, or the one that it compares."""
        return list(self.values) or [self.metric]

    @property
    def selections(self) -> list[Selection]:
        """Of every side, `where` included."""
        sides = [*self.higher, *self.lower, *self.same] or [{}]
        return [self.where | side for side in sides]


def is_share(metric: str) -> bool:
    """Whether a metric lies in [0, 1] and is shown in percent."""
    return any(part in metric for part in ("/acc", "/f1", "/recall"))


def as_people_write(metric: str, value: float) -> float:
    """Percent of a share."""
    return 100 * value if is_share(metric) else value


def is_cost(claim: Claim) -> bool:
    """Whether it is about seconds, memory or sizes, and not about how good a net is."""
    return any(
        of_machine(metric) or any(part in metric for part in EXACT) for metric in claim.metrics
    )


def of_machine(metric: str) -> bool:
    """Whether a number says as much of the machine as of the run: seconds and memory."""
    return any(part in metric for part in ("seconds", "memory", INFERENCE))


def unit(metric: str) -> str:
    """Of its differences; "" for a loss or a count."""
    if is_share(metric):
        return "points"
    if metric.startswith("epochs_to/"):
        return "epochs"
    return {"peak_memory_mib": "MiB"}.get(metric, "s" if "seconds" in metric else "")


def asked_by_name(claims: Iterable[Claim], only: Sequence[str]) -> set[str]:
    """The names that are asked for; all of them when none are given.

    Raises:
        ClaimError: there is no claim of that name.
    """
    names = [claim.name for claim in claims]
    for name in only:
        if name not in names:
            raise ClaimError(f"{name}: no such claim{near(name, names)}")
    return set(only or names)
