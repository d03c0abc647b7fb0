"""Settings beside each other as a page of the report's style."""

from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import numpy as np
from matplotlib import rc_context
from numpy.typing import NDArray

from fmnist.errors import UserError
from fmnist.evidence.settings import outermost
from fmnist.reporting.charts import (
    HALF,
    MUTED,
    SERIES,
    STYLE,
    Chart,
    bars,
    in_unit,
    legend_above,
    name_on_hover,
    new_figure,
    short,
)  # fmt: skip
from fmnist.reporting.detail import Gallery, for_pictures, test_images
from fmnist.reporting.gallery import samples
from fmnist.reporting.page import fill
from fmnist.reporting.run_figures import whole_epochs
from fmnist.reporting.same_images import class_rows, images_lines
from fmnist.reporting.side_by_side import SideBySide, common_runs, verdict_line
from fmnist.reporting.titles import title_of
from fmnist.runs.evaluation import Evaluation
from fmnist.runs.record import epoch_ends
from fmnist.runs.run import write_text
from fmnist.runs.text import plural

MARKERS = "osD^vP"
PICTURES = 16


def write_page(found: SideBySide, path: Path) -> None:
    """The page, in one file.

    Raises:
        RunError: it cannot be written.
    """
    letters = found.letters
    with rc_context(STYLE):
        curves = [_curves(found, *what) for what in CURVES if common_runs(found.sides)]
        scores = [_class_dots(found)] if found.classes else []
        galleries, note = _galleries(found)
        svgs = {chart.name: chart.svg() for chart in [*curves, *scores]}
    pairs = [(letter, letters[0]) for letter in letters[1:]]
    names = [side.name for side in found.sides]
    place = dict(zip(names, letters, strict=True))
    html = fill(
        "compare", _title(found), svgs, found=found, curves=curves, scores=scores,
        verdicts=[verdict_line(item, (place[item.first], letters[0])) for item in found.against],
        by_image=[
            (pair, images, images_lines(images, pair), class_rows(images.classes))
            for images, pair in zip(found.images, pairs, strict=True)
            if images
        ],
        galleries=galleries, galleries_note=note,
    )  # fmt: skip
    write_text(path, html)


def _title(found: SideBySide) -> str:
    """As a report's; where there are rows alone, the names of the sides."""
    if not common_runs(found.sides):
        return " against ".join(side.name for side in found.sides)
    short = outermost([line.what for line in found.settings])
    return title_of([run.record for side in found.sides for run in side.runs.values()], short)


CURVES = (
    ("val_acc", "Validation accuracy", "accuracy (%)", 100), ("val_loss", "Validation loss",
     "cross-entropy (nats)", 1), ("train_loss", "Training loss", "cross-entropy (nats)", 1),
)  # fmt: skip


def _curves(found: SideBySide, key: str, title: str, unit: str, factor: int) -> Chart:
    """A thin line a run, a thick one for the mean over seeds as far as all were trained."""
    lines = [
        [
            [factor * getattr(row, key) for row in epoch_ends(run.record.epochs)]
            for run in side.runs.values()
        ]
        for side in found.sides
    ]
    means = [[mean(values) for values in zip(*each, strict=False)] for each in lines]
    longest = max(len(line) for each in lines for line in each)
    ends = "; ".join(
        f"{letter} ends at {in_unit(heights[-1], unit)}"
        for letter, heights in zip(found.letters, means, strict=True)
    )
    if longest == 1:
        return _bars(found, key, title, unit, [heights[0] for heights in means])
    figure, axes = new_figure()
    for letter, side, each, heights, color, marker in zip(
        found.letters, found.sides, lines, means, SERIES, MARKERS, strict=False
    ):
        for line in each if len(each) > 1 else []:
            axes.plot(range(1, len(line) + 1), line, color=color, linewidth=0.7, alpha=0.45)
        (thick,) = axes.plot(
            range(1, len(heights) + 1), heights, color=color, marker=marker, label=letter
        )
        name_on_hover(thick, side.name)
    axes.set(xlabel="epoch", ylabel=unit)
    whole_epochs(axes, range(1, longest + 1))
    legend_above(axes)
    several = any(len(each) > 1 for each in lines)
    thin = "Thick: mean over seeds, as far as all were trained; thin: each seed. " * several
    return Chart(key, title, f"{thin}{ends}.", figure)


def _bars(found: SideBySide, key: str, title: str, unit: str, values: Sequence[float]) -> Chart:
    """What curves of one epoch would show as single dots."""
    figure = bars(list(found.letters), values, SERIES[: len(values)], unit)
    pairs = zip(found.letters, values, strict=True)
    said = "; ".join(f"{letter} {in_unit(value, unit)}" for letter, value in pairs)
    return Chart(key, f"{title} after one epoch", f"{said}. Means over seeds.", figure)


def _class_dots(found: SideBySide) -> Chart:
    """Recall of every class: a dot a side, joined by a line as long as their difference."""
    names = [line.what for line in found.classes][::-1]
    figure, axes = new_figure((HALF[0], 0.9 + 0.3 * len(names)))
    means = np.array([
        [mean(side.values(f"test/recall/{name}").values() or [np.nan]) for name in names]
        for side in found.sides  # of one whose runs all failed there is none
    ])  # fmt: skip
    places = np.arange(len(names))
    axes.hlines(places, np.nanmin(means, 0), np.nanmax(means, 0), color=MUTED, linewidth=1)
    for letter, row, color, marker in zip(found.letters, means, SERIES, MARKERS, strict=False):
        axes.plot(row, places, marker, color=color, label=letter)
    axes.set_yticks(places, [short(name) for name in names])
    axes.set(xlabel="recall (%)")
    axes.grid(visible=False, axis="y")
    legend_above(axes)
    largest = zip(found.letters, means[:, -1], strict=True)
    most = "; ".join(f"{letter} {value:.2f} %" for letter, value in largest if not np.isnan(value))
    caption = (
        f"Largest difference: {names[-1]}, {most}. Means over seeds, classes by their difference."
    )
    return Chart("classes", "Recall by class", caption, figure)


def _galleries(found: SideBySide) -> tuple[list[Gallery], str]:
    """What one of the first two sides gets right and the other wrong, or why it is not shown."""
    if len(found.evaluations) < 2 or not found.images[0]:
        return [], "the runs have no predictions of the same images"
    runs = common_runs(found.sides)
    if runs[0].record.seed != runs[1].record.seed:
        return [], "the settings have no seed in common"
    try:
        images = test_images(runs[0], found.evaluations[0])
    except UserError as error:
        return [], str(error)
    pixels, (first, second) = for_pictures(images), found.evaluations[:2]
    seed = runs[0].record.seed
    made = [
        _gallery("A", "B", first, second, pixels, seed),
        _gallery("B", "A", second, first, pixels, seed),
    ]
    return [gallery for gallery in made if gallery is not None], ""


def _gallery(
    right: str, wrong: str, winner: Evaluation, loser: Evaluation, pixels: NDArray[np.uint8],
    seed: int,
) -> Gallery | None:  # fmt: skip
    """What the one side alone gets right; None where there is no such image."""
    chosen = _sure_errors(winner, loser)
    if not chosen:
        return None
    some = f"; shown are the {PICTURES} of which {wrong} is surest" * (len(chosen) > PICTURES)
    caption = (
        f"Seed {seed}: {plural(len(chosen), 'image')}{some}. Under each: what {wrong} says, and "
        "what it is."
    )
    shown = samples(loser, pixels, chosen[:PICTURES])
    return Gallery(f"only_{right}", f"Right in {right}, wrong in {wrong}", caption, shown)


def _sure_errors(winner: Evaluation, loser: Evaluation) -> list[int]:
    """Images that the one gets right and the other wrong, the surest of it first."""
    found = np.flatnonzero(winner.correct & ~loser.correct)
    return [int(i) for i in found[np.argsort(-loser.probabilities[found].max(1), kind="stable")]]
