"""Everything that a report shows of one run that was tested."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from fmnist.errors import DataError, UserError
from fmnist.evidence.statistics import wilson_interval
from fmnist.reporting.charts import Chart
from fmnist.reporting.gallery import (
    Sample,
    class_activation,
    confident_errors,
    gallery_figure,
    pair_errors,
    samples,
    typical,
)  # fmt: skip
from fmnist.reporting.run_figures import (
    class_scores,
    confusion_matrices,
    reliability,
    roc_and_pr,
    training_curves,
)  # fmt: skip
from fmnist.reporting.table import Entry
from fmnist.runs.corrupted import Corrupted, read_corrupted
from fmnist.runs.evaluation import Evaluation, evaluation_of
from fmnist.runs.foreign_text import escaped
from fmnist.runs.latency import Latency, measure_latency, weights_bytes
from fmnist.runs.record import known
from fmnist.runs.run import Run
from fmnist.runs.text import duration, plural, threads_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

T = TypeVar("T")
MOVED = "trained on several machines, whose seconds are of none"
PAIRS = 5  # confused pairs that get a gallery
CAM_IMAGES = 10


@dataclass(frozen=True)
class Gallery:
    """Some test images under a heading, or the reason why there are none."""

    name: str
    title: str
    caption: str
    samples: list[Sample]


@dataclass
class Detail:
    """One run. What could not be made is None or empty, and `notes` says why, by section."""

    row: Entry
    evaluation: Evaluation | None = None
    curves: list[Chart] = field(default_factory=list)
    matrices: list[Chart] = field(default_factory=list)
    scores: list[Chart] = field(default_factory=list)
    galleries: list[Gallery] = field(default_factory=list)
    activation: Gallery | None = None
    latency: Latency | None = None
    weights: int | None = None
    damaged: Corrupted | None = None
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def charts(self) -> list[Chart]:
        """All figures, the galleries' contact sheets among them."""
        shown = [*self.galleries, *([self.activation] if self.activation else [])]
        sheets = [
            Chart(gallery.name, gallery.title, gallery.caption, gallery_figure(gallery.samples))
            for gallery in shown
            if gallery.samples
        ]
        return [*self.curves, *self.matrices, *self.scores, *sheets]


def detail_of(row: Entry, prefix: str = "", full: bool = True, latency: bool = True) -> Detail:
    """One run that came to its test.

    Args:
        row: tested.
        prefix: of the figures' file names.
        full: every section; else only the curves, the confusion matrices and efficiency.
        latency: measure inference on this machine.
    """
    assert row.run is not None
    run, detail = row.run, Detail(row)
    detail.curves = training_curves(run.record, prefix)
    detail.damaged = _attempt(detail, "damaged", lambda: read_corrupted(run.dir, run.record))
    detail.evaluation = _attempt(detail, "predictions", lambda: evaluation_of(run))
    evaluation = detail.evaluation
    if evaluation is not None:
        detail.matrices = confusion_matrices(evaluation, prefix)
    net = _attempt(detail, "net", lambda: run.net("best"))
    if net is not None:
        detail.weights = weights_bytes(net)
        if latency:
            detail.latency = _attempt(
                detail, "net", lambda: measure_latency(net, known(run.record.dataset).shape)
            )
    if not full or evaluation is None:
        return detail
    detail.scores = [class_scores(evaluation), *roc_and_pr(evaluation), reliability(evaluation)]
    pixels = _attempt(detail, "images", lambda: test_images(run, evaluation))
    if pixels is not None:
        detail.galleries = _galleries(evaluation, pixels)
        if net is not None:
            detail.activation = _attempt(
                detail, "activation", lambda: _activation(net, run, evaluation, pixels)
            )
    return detail


def _attempt(detail: Detail, section: str, make: Callable[[], T]) -> T | None:
    """What `make` gives, or None and a note: one broken part of a run stops no report.

    Files of a run may be damaged in any way, and its net and data may be anybody's code.
    """
    try:
        return make()
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, UserError):  # there is a way out, which nobody looks for on a page
            print(escaped(f"left out: {text}", keep=""), file=sys.stderr)
        detail.notes[section] = text
        return None


def test_images(run: Run, evaluation: Evaluation) -> "Tensor":
    """Pixels of the run's test set, uint8 [N, S, S] or [N, 3, S, S].

    Raises:
        DataUnavailable: the files are not on this machine.
        RunError, DataError: they are not those that the run was tested on, or cannot be read.
    """
    data, tested = run.same_data(), len(evaluation.labels)  # of limit_test_batches the first
    if data.test_images.labels[:tested].tolist() != evaluation.labels.tolist():
        raise DataError("the images found now are not those that the run was tested on")
    return data.test_images.pixels[:tested]


def for_pictures(pixels: "Tensor") -> "NDArray[np.uint8]":
    """uint8 [N, S, S] as it is, [N, 3, S, S] -> [N, S, S, 3]."""
    array: NDArray[np.uint8] = pixels.numpy()
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


def _galleries(evaluation: Evaluation, pixels: "Tensor") -> list[Gallery]:
    array, names = for_pictures(pixels), evaluation.classes
    count = len(evaluation.shown_classes())
    every = "every class" if count == len(names) else f"the {count} classes most often confused"
    chosen = [
        Gallery(
            "sample_predictions", "Sample predictions",
            f"The first two test images of {every}, right or wrong.",
            samples(evaluation, array, typical(evaluation)),
        )
    ]  # fmt: skip
    wrong = int((~evaluation.correct).sum())
    if wrong:
        errors = samples(evaluation, array, confident_errors(evaluation))
        caption = (
            f"{len(errors)} of {wrong:,} error{'s' * (wrong > 1)}, those with the highest "
            "probability for the wrong class. Some are labels that a person would contest."
        )
        chosen.append(Gallery("confident_errors", "Most confident errors", caption, errors))
    for i, j, count in evaluation.confused_pairs()[:PAIRS]:
        there, back = int(evaluation.confusion[i, j]), int(evaluation.confusion[j, i])
        title = f"Confused pair: {names[i]} and {names[j]}"
        caption = (
            f"{plural(count, 'error')}: {there} {names[i]} called {names[j]}, {back} the "
            "other way. The most confident of both."
        )
        shown = samples(evaluation, array, pair_errors(evaluation, i, j))
        chosen.append(Gallery(f"confused_{i}_{j}", title, caption, shown))
    return chosen


def _activation(net: Any, run: Run, evaluation: Evaluation, pixels: "Tensor") -> Gallery | None:
    indices = confident_errors(evaluation, CAM_IMAGES)
    if not indices:
        raise ValueError("there are no errors to explain")
    maps = class_activation(net, run, evaluation, pixels, indices)
    if maps is None:
        raise ValueError("this net has no convolution, so there are no maps to weigh")
    caption = (
        "The most confident errors: the image, the evidence for the predicted class, the evidence "
        "for the true class. Orange: parts of the image that speak for the class in the last "
        "convolution (Grad-CAM, Selvaraju et al. 2017); no orange: nothing does."
    )
    shown = samples(evaluation, for_pictures(pixels), indices, maps)
    return Gallery("grad_cam", "Class-activation maps", caption, shown)


def headline(row: Entry) -> list[tuple[str, str, str]]:
    """(what, value, interval or remark) of the numbers that come first."""
    record = row.record
    data = known(record.dataset)
    tested = data.test_size
    validated = tested if row.leaks else data.val_size
    test, val = row.metric("test/acc"), row.metric("val/acc")
    # Of a run that was cut short it is not known on how many images.
    ranges = (
        ("run cut short",) * 2
        if record.cut_short
        else (_wilson(test, tested), _wilson(val, validated))
    )
    items = [("Test accuracy", f"{100 * test:.2f} %", ranges[0])]
    items.append(("Validation accuracy", f"{100 * val:.2f} %", ranges[1]))
    items.append(("Test loss", f"{row.metric('test/loss'):.4f}", "cross-entropy, nats"))
    chosen = "the test set" if row.leaks else "validation"
    epoch = f"epoch {record.chosen.epoch + 1} of {record.trained}, chosen on {chosen}"
    items.append(("Training accuracy", f"{100 * row.metric('train/acc'):.2f} %", epoch))
    seconds = row.metric("train_seconds")
    pace = f"{record.epoch_seconds:.1f} s an epoch, validation included"
    per_epoch = MOVED if record.moved else pace
    items.append(("Training", duration(seconds), per_epoch))
    items.append(("Parameters", f"{int(row.metric('params')):,}", flops_text(row.metric("flops"))))
    return items


def _wilson(share: float, total: int) -> str:
    if not total or not 0 <= share <= 1:
        return ""
    low, high = wilson_interval(round(share * total), total)
    return f"{100 * low:.2f} to {100 * high:.2f} on {total:,} images"


def flops_text(flops: float) -> str:
    return f"{flops / 1e6:,.2f} MFLOPs an image"


def efficiency(detail: Detail) -> list[tuple[str, str, str]]:
    """(what, value, how it was measured)."""
    row, record = detail.row, detail.row.record
    items = [
        ("Parameters", f"{int(row.metric('params')):,}", "trainable"),
        ("Forward pass", flops_text(row.metric("flops")), "a multiply-add counts two"),
    ]
    if detail.weights is not None:
        items.append(("Model size", f"{detail.weights / 1e6:.3g} MB", "parameters and buffers"))
    pace, where = "none", MOVED
    if not record.moved:
        pace = f"{record.epoch_seconds:.2f} s an epoch"
        where = (
            f"{duration(row.metric('train_seconds'))} in all, on {record.device or 'unknown'}, "
            f"{threads_text(record.threads or 0)}, {record.precision or '?'}"
        )
    items.append(("Training", pace, where))
    memory = f"{row.metric('peak_memory_mib'):,.0f} MiB"
    items.append(("Peak memory", memory, "of the whole training process, libraries included"))
    if detail.latency:
        threads = threads_text(detail.latency.threads)
        here = f"CPU of this machine, {threads}, when the report was made"
        views = str(row.run.formats()["tta"]) if row.run else "none"
        here += "" if views == "none" else f"; one view an image, and tta={views} takes more"
        for batch, milliseconds in detail.latency.milliseconds.items():
            speed = f"{detail.latency.images_per_second(batch):,.0f} images/s"
            value = f"{milliseconds:.3g} ms, {speed}"
            items.append((f"Inference, batch {batch}", value, f"median; {here}"))
    return items
