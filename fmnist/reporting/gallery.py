"""Which test images to look at, and those images as small pictures."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fmnist.runs.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from fmnist.runs.run import Run

PER_CLASS, OF_PAIR = 2, 8  # images shown of a class, and of two that are confused
COLUMNS = 6


@dataclass(frozen=True)
class Sample:
    """A test image and what the net says of it.

    Args:
        index: in the test set.
        pictures: PNG as data URIs: the image, then Grad-CAM overlays if there are any.
        label, predicted: names of classes.
        p_label, p_predicted: their probabilities.
    """

    index: int
    pictures: list[str]
    label: str
    predicted: str
    p_label: float
    p_predicted: float

    @property
    def correct(self) -> bool:
        return self.label == self.predicted


def typical(evaluation: Evaluation) -> list[int]:
    """The first test images of every class, in the order of the classes: not chosen by result."""
    return [
        int(index)
        for k in evaluation.shown_classes()
        for index in np.flatnonzero(evaluation.labels == k)[:PER_CLASS]
    ]


def confident_errors(evaluation: Evaluation, count: int = 16) -> list[int]:
    """Misclassified images, the most confident first."""
    wrong = np.flatnonzero(~evaluation.correct)
    confidence = evaluation.probabilities[wrong].max(1)
    return [int(i) for i in wrong[np.argsort(-confidence, kind="stable")][:count]]


def pair_errors(evaluation: Evaluation, i: int, j: int) -> list[int]:
    """Images of one class taken for the other, the most confident first, both ways in turn."""
    ways = []
    for label, predicted in ((i, j), (j, i)):
        hits = (evaluation.labels == label) & (evaluation.predicted == predicted)
        order = np.flatnonzero(hits)
        ways.append(order[np.argsort(-evaluation.probabilities[order, predicted], kind="stable")])
    half = OF_PAIR // 2
    first = max(half, OF_PAIR - len(ways[1]))
    second = max(half, OF_PAIR - len(ways[0]))
    return [int(index) for index in (*ways[0][:first], *ways[1][:second])]


def samples(
    evaluation: Evaluation,
    pixels: NDArray[np.uint8],
    indices: Sequence[int],
    maps: Sequence[NDArray[np.float32]] = (),
) -> list[Sample]:
    """The images with what the net says of them.

    Args:
        pixels: of the test set, uint8 [N, S, S] or [N, S, S, 3].
        indices: of the images to show.
        maps: Grad-CAM maps in [0, 1] to lay over them, float [len(indices), S, S] each.
    """
    shown = []
    for place, index in enumerate(indices):
        label, predicted = int(evaluation.labels[index]), int(evaluation.predicted[index])
        overlays = [overlay(pixels[index], some[place]) for some in maps]
        shown.append(
            Sample(
                index,
                [data_url(pixels[index]), *map(data_url, overlays)],
                evaluation.classes[label],
                evaluation.classes[predicted],
                float(evaluation.probabilities[index, label]),
                float(evaluation.probabilities[index, predicted]),
            )
        )
    return shown


def data_url(pixels: NDArray[np.uint8]) -> str:
    """A PNG as data URI, of uint8 [H, W] or [H, W, 3]."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def overlay(pixels: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """uint8 [S, S, 3]: the image in grey, the map over it from clear to orange."""
    lightness = pixels.mean(2) if pixels.ndim == 3 else pixels.astype(float)
    grey = np.repeat(0.75 * lightness[..., None], 3, axis=2)
    share = 0.8 * heat[..., None]
    mixed = (1 - share) * grey + share * np.array([255.0, 128.0, 0.0])
    coloured: NDArray[np.uint8] = mixed.round().clip(0, 255).astype(np.uint8)
    return coloured


def class_activation(
    net: "nn.Module", run: "Run", evaluation: Evaluation, pixels: "Tensor", indices: Sequence[int]
) -> list[NDArray[np.float32]] | None:
    """Grad-CAM maps for the predicted and for the true class, float [len(indices), S, S] each.

    None when the net has no convolution.
    """
    import torch

    from fmnist.data.batches import Normalize
    from fmnist.reporting.gradcam import grad_cam
    from fmnist.runs.record import known

    facts = known(run.record.dataset)
    chosen = list(indices)
    images = Normalize(facts.mean, facts.std)(pixels[chosen])  # [B, C, S, S]
    maps = []
    for classes in (evaluation.predicted, evaluation.labels):
        cam = grad_cam(net, images, torch.from_numpy(classes[chosen].copy()))
        if cam is None:
            return None
        maps.append(cam.numpy())
    return maps


def gallery_figure(shown: Sequence[Sample]) -> "Figure":
    """The samples as one figure, for the disk; the page shows them one by one."""
    from matplotlib.figure import Figure
    from matplotlib.image import imread

    images = [
        [imread(io.BytesIO(base64.b64decode(uri.partition(",")[2])), format="png") for uri in uris]
        for uris in (sample.pictures for sample in shown)
    ]
    size = images[0][0].shape[0]
    unit = size / 28  # what is said is of the same size, however large the images are
    wide, tall = round(((size + 2 * unit) * len(images[0])) + 8 * unit), round(size + 14 * unit)
    columns = max(1, COLUMNS // len(shown[0].pictures))
    rows = -(-len(shown) // columns)
    sheet = np.ones((rows * tall, columns * wide, 3))
    figure = Figure((columns * wide / size, rows * tall / size), dpi=110)
    axes = figure.add_axes((0, 0, 1, 1))
    room = 12 * len(images[0])  # letters beside the next image's

    def name(text: str) -> str:
        return text if len(text) <= room else text[: room - 1] + "…"

    for place, sample in enumerate(shown):
        top = place // columns * tall + round(12 * unit)
        left = place % columns * wide + round(3 * unit)
        axes.text(
            left, top - 1.5 * unit, f"{name(sample.predicted)} {sample.p_predicted:.2f}\n"
            f"is {name(sample.label)} {sample.p_label:.2f}", fontsize=7,
        )  # fmt: skip
        for number, image in enumerate(images[place]):
            pixels = image[..., :3] if image.ndim == 3 else image[..., None]
            start = left + round((size + 2 * unit) * number)
            sheet[top : top + size, start : start + size] = pixels
    axes.imshow(sheet, interpolation="nearest")
    axes.set_axis_off()
    return figure
