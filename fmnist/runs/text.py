"""What the terminal says before and after a run."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fmnist.config.signature import read_signature
from fmnist.data.facts import DatasetFacts
from fmnist.runs.leak import LEAK
from fmnist.runs.record import Epoch, Record, known


def announcement(record: Record, net_name: str, run_dir: Path) -> str:
    """What is about to run, from the record and the configuration in it."""
    config, data = record.config, known(record.dataset)
    optim, trainer, aug = config["optim"], config["trainer"], config["aug"]
    choices = record.choices
    extras = [f"scheduler {choices.get('scheduler', 'none')}"]
    if config["label_smoothing"]:
        extras.append(f"label smoothing {config['label_smoothing']}")
    if config.get("tta", "none") != "none":
        extras.append(f"test-time augmentation {config['tta']}")
    if config.get("ema_decay") is not None:
        extras.append(f"weights averaged with decay {config['ema_decay']:g}")
    if config.get("compile"):
        extras.append("compiled")
    leak = [f"WARNING {LEAK}"] if data.select_on == "test" else []
    val = "no val" if leak else f"{data.val_size:,} val"
    lines = [
        f"net     {net_name}, {record.params:,} parameters, "
        f"{known(record.flops) / 1e6:.2f} MFLOPs an image",
        f"optim   {optimizer_text(optim)}, batch {config['data']['batch_size']}, "
        f"{', '.join(extras)}",
        f"data    {data.name}{unchecked(data)}, {data.train_size:,} train, {val}, "
        f"{data.test_size:,} test, "
        f"augmentation {choices.get('aug', 'on') if augments(aug) else 'off'}",
        f"device  {record.device}, {record.precision}, {length_text(trainer)}, seed {record.seed}",
    ]
    return "\n".join([*map(in_eighty, lines), f"run     {shown(run_dir)}", *map(in_eighty, leak)])


def in_eighty(line: str, indent: int = len("device  ")) -> str:
    """A line that a terminal of 80 columns can show: what is too much stands below it.

    Paths and other words stay whole, however long they are.
    """
    return textwrap.fill(
        line, 79, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )


def length_text(trainer: Mapping[str, Any]) -> str:
    """How long a run may train: "up to 10 epochs", "until early stopping, at most 500 steps"."""
    epochs, steps, duration = (trainer.get(key) for key in ("max_epochs", "max_steps", "max_time"))
    limits = [] if epochs is None else [plural(epochs, "epoch")]
    limits += [] if steps in (None, -1) else [plural(steps, "step")]
    limits += [] if duration is None else [f"{duration} (max_time)"]
    most = " or ".join(limits)
    if epochs is None:
        return f"until early stopping, at most {most}" if most else "until early stopping"
    return f"up to {most}"


def optimizer_text(optim: Mapping[str, Any]) -> str:
    """ "Adam lr=0.001": the rate of the setting, or else the default of the optimiser's code.

    Nothing of the rate where neither is a number.
    """
    name, rate = optim["_target_"].rpartition(".")[2], optim.get("lr")
    if "lr" not in optim and (signature := read_signature(optim["_target_"])):
        rate = signature["lr"].default if "lr" in signature else None
    return f"{name} lr={rate:g}" if isinstance(rate, int | float) else name


def augments(aug: Mapping[str, Any]) -> bool:
    """Whether a configured augmentation changes anything."""
    plain = str(aug.get("_target_", ".RandomAffine")).endswith(".RandomAffine")
    return not plain or any(aug.get(key) for key in ("degrees", "shift", "flip"))


def unchecked(data: DatasetFacts) -> str:
    """What to add to a data set's name when nobody has published the sums of its files."""
    return "" if data.checked else " (files unchecked: no published checksums)"


def plural(count: int, noun: str) -> str:
    """ "1 epoch", "2 epochs"."""
    return f"{count} {noun}{'s' * (count != 1)}"


def threads_text(count: int | str) -> str:
    """ "1 thread", "2 threads"."""
    return plural(int(count), "thread")


def epoch_label(epoch: int, epochs: int | None) -> str:
    """ "epoch  3/10", of an epoch counted from 0; "epoch 3" where their number is open."""
    if epochs in (None, -1):
        return f"epoch {epoch + 1}"
    return f"epoch {epoch + 1:{len(str(epochs))}d}/{epochs}"


def epoch_line(rows: Sequence[Epoch], epochs: int | None) -> str:
    """The last of the rows, within 80 columns, and whether it is the best so far.

    The first loss and accuracy are training's.

    Args:
        rows: of the run record, up to the epoch to show.
        epochs: how many the run may train; None or -1: no limit.
    """
    row = rows[-1]
    better = all(row.val_acc > earlier.val_acc for earlier in rows[:-1])
    return (
        f"{epoch_label(row.epoch, epochs)}  loss {row.train_loss:.4f} "
        f"acc {row.train_acc:.4f}  val loss {row.val_loss:.4f} acc {row.val_acc:.4f}"
        f"  {row.seconds:.1f} s{'  best' if better else ''}"
    )


def totals_line(record: Record, run_dir: Path) -> str:
    """How long it took, and where it lies."""
    epochs, data = record.epochs[-1].epoch + 1, known(record.dataset)
    line = (
        f"{plural(epochs, 'epoch')} in {known(record.train_seconds):.1f} s "
        f"({known(record.seconds):.1f} s in all): {shown(run_dir)}"
    )
    if record.inherited_seconds:
        line += f"\n{record.inherited_seconds:.1f} s of them were spent before: {record.origin}"
    leak = [f"WARNING {LEAK}"] if data.select_on == "test" else []
    cut = record.cut_short
    short = [f"WARNING no measurement: the run was cut short by {cut}"] if cut else []
    return "\n".join([line, *leak, *short])


def metrics_table(metrics: Mapping[str, float], best_epoch: int, epochs: int) -> str:
    """Validation and test, of the chosen checkpoint and of the last epoch's.

    Args:
        metrics: of the run record.
        best_epoch: counted from 0, as in the record; shown counted from 1.
        epochs: how many the run trained.
    """
    lines = [f"{'checkpoint':16}{'val acc':>9}{'val loss':>10}{'test acc':>10}{'test loss':>11}"]
    for label, suffix in (
        (f"best, epoch {best_epoch + 1}", ""),
        (f"last, epoch {epochs}", "_last"),
    ):
        accuracies = metrics[f"val/acc{suffix}"], metrics[f"test/acc{suffix}"]
        losses = metrics[f"val/loss{suffix}"], metrics[f"test/loss{suffix}"]
        lines.append(
            f"{label:16}{accuracies[0]:9.4f}{losses[0]:10.4f}{accuracies[1]:10.4f}{losses[1]:11.4f}"
        )
    return "\n".join(lines)


def without_middle(text: str, most: int) -> str:
    """Of this length at most: what two long texts differ in stands at either end, if anywhere."""
    tail = (most - 3) // 2
    return text if len(text) <= most else f"{text[: most - 3 - tail]}...{text[-tail:]}"


def shown(path: Path) -> str:
    """A path relative to the working directory when it lies below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def duration(seconds: float) -> str:
    """ "2 h 05 min", "3 min 20 s", "40 s" or "4.2 s"; a dash where nobody knows."""
    if math.isnan(seconds):
        return "–"  # noqa: RUF001
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole} s" if whole >= 10 else f"{seconds:.1f} s"
