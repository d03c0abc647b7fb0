"""A trained net as one file for other programs: images in, logits out, nothing else needed.

The file takes pixels as decoders give them, uint8 [B, C, S, S], of any number of images; mean and
deviation are inside, so that nobody has to know them. It computes in float32 what the run's own
evaluation computes, test-time augmentation included.
"""

import fmnist.process.startup  # noqa: F401 (before what it quickens)

# isort: split
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fmnist.data.facts import DatasetFacts
from fmnist.errors import RunError, UserError
from fmnist.runs.record import known
from fmnist.runs.run import WEIGHTS, write_atomically, writing
from fmnist.runs.text import shown
from fmnist.training.tta import mean_logits

if TYPE_CHECKING:
    from fmnist.runs.run import Run

CHECKED = 256  # test images
CLOSE = 1e-4  # of logits; larger ones may differ by this share of them
HALF = ("bf16-mixed", "16-mixed", "bf16-true", "16-true")
Compute = Callable[[Tensor], Tensor]  # uint8 [B, C, S, S] -> float [B, classes]


class FromPixels(nn.Module):
    """uint8 [B, C, S, S] -> logits float [B, classes], as `fmnist.data.datamodule.Normalize` and
    `fmnist.training.predict.predict` make them.
    """

    mean: Tensor  # [1, C or 1, 1, 1], of pixels up to 255
    std: Tensor

    def __init__(self, net: nn.Module, facts: DatasetFacts, tta: str) -> None:
        super().__init__()
        self.net, self.tta = net.eval(), tta
        for name, value in (("mean", facts.mean), ("std", facts.std)):
            self.register_buffer(name, 255 * torch.tensor(value).reshape(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        images = (pixels.float() - self.mean) / self.std
        return mean_logits(self.net, images, self.tta)


def in_words(error: Exception) -> str:
    """Why an exporter failed, in one line."""
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    if "specialized it to be a constant" in reason:
        return "it is made for one number of images: len(x) gives that, x.shape[0] any"
    return reason[:300]


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how near it comes to the run.

    Args:
        images: test images on which it was compared.
        to_net: the largest difference of a logit to the run's net in float32.
        to_record: to the recorded logits; of a run in half precision it may be larger. None: there
            are none, of a net that comes with fmnist.
    """

    path: Path
    images: int
    to_net: float
    to_record: float | None

    def in_words(self, precision: str) -> str:
        """Its size, and how near it comes to a run of this precision."""
        text = (
            f"{shown(self.path)}: {self.path.stat().st_size / 1e6:.2f} MB, on {self.images} test "
            f"images within {self.to_net:.1g} of the net's logits"
        )
        if self.to_record is not None:
            text += f" and {self.to_record:.1g} of the recorded ones"
        if precision in HALF:
            text += f" (recorded in {precision}; the file computes in float32)"
        return text


def export(run: "Run", path: Path, kind: str) -> Exported:
    """Write the best net of a finished run as one file, after its logits have been compared.

    Args:
        kind: "pt2", by torch.export, or "onnx".

    Raises:
        UserError: ONNX is not installed; the net cannot be exported; its logits differ.
        DataError, DataUnavailable: the test images are not there.
    """
    facts, pixels = known(run.record.dataset), _test_pixels(run)
    net = FromPixels(run.net("best"), facts, str(run.formats()["tta"]))
    with torch.inference_mode():
        wanted = net(pixels)
    try:
        # What exporters say of their own libraries is nothing that a user could act on.
        with warnings.catch_warnings(action="ignore"):
            two = pixels[:1].repeat(2, 1, 1, 1)  # of one exporters take the number for a constant
            content, compute = WRITERS[kind](net, two, metadata(run))
            found = compute(pixels)
            alone = compute(pixels[:1])
    except UserError:
        raise
    except Exception as error:  # exporters raise whatever a net meets in them
        raise RunError(
            f"{run.dir}: its net cannot be written as {kind}: {in_words(error)}"
        ) from error
    compared = [("net's own", found, wanted), ("net's own", alone, wanted[:1])]
    to_record = None
    if not (run.dir / WEIGHTS).is_file():
        recorded = torch.from_numpy(run.predictions()[0][: len(pixels)])
        tested = found[: len(recorded)]  # of a run with trainer.limit_test_batches
        to_record = _difference(tested, recorded)
        if run.record.precision not in HALF:
            compared.append(("recorded logits", tested, recorded))
    for what, logits, reference in compared:
        if not torch.allclose(logits, reference, rtol=CLOSE, atol=CLOSE):
            raise RunError(
                f"{run.dir}: as {kind} its logits differ by {_difference(logits, reference):.2g} "
                f"from the {what}: should be at most {CLOSE:g}; nothing was written"
            )
    with writing():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    return Exported(path, len(pixels), _difference(found, wanted), to_record)


def metadata(run: "Run") -> dict[str, str]:
    """What a file says of itself, by name: classes, as JSON, in the order of the logits."""
    facts = known(run.record.dataset)
    return {
        "classes": json.dumps(facts.classes),
        "input": f"uint8 [batch, {', '.join(map(str, facts.shape))}], pixels from 0 to 255",
        "output": "float32 [batch, classes], logits",
        "dataset": facts.name,
        "config_hash": run.record.config_hash,
    }


def _test_pixels(run: "Run") -> Tensor:
    """The first test images, uint8 [CHECKED, C, S, S]."""
    pixels = run.same_data().test_images.pixels[:CHECKED]
    return pixels.unsqueeze(1) if pixels.ndim == 3 else pixels


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def _as_pt2(net: nn.Module, example: Tensor, says: dict[str, str]) -> tuple[bytes, Compute]:
    """The bytes of a .pt2 file, and what they compute, read back."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (example,), dynamic_shapes=({0: batch},))
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files=dict(says))
    buffer.seek(0)
    module = torch.export.load(buffer).module()
    return buffer.getvalue(), lambda pixels: module(pixels).detach()


def _as_onnx(net: nn.Module, example: Tensor, says: dict[str, str]) -> tuple[bytes, Compute]:
    """The bytes of an .onnx file, and what ONNX Runtime makes of them on the CPU."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise UserError(
            f"--onnx: {error.name} is not installed; pip install 'fmnist[onnx]' brings it"
        ) from error
    program = torch.onnx.export(
        net, (example,), input_names=["pixels"], output_names=["logits"], dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False,
    )  # fmt: skip
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, says)
    content = model.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def compute(pixels: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"pixels": pixels.numpy()})[0])

    return content, compute


WRITERS = {"pt2": _as_pt2, "onnx": _as_onnx}
