"""The test numbers of a finished run, computed anew."""

from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from fmnist.errors import RunError, UserError
from fmnist.runs.latency import recorded_threads
from fmnist.runs.leak import LEAK, leaks
from fmnist.runs.record import known
from fmnist.runs.run import Run
from fmnist.runs.text import unchecked
from fmnist.training.predict import loss_and_accuracy, predict


@dataclass(frozen=True)
class Reproduced:
    """How the test numbers of now are to the recorded ones.

    Args:
        same: bit for bit.
        lines: for a terminal.
    """

    same: bool
    lines: list[str]


def reproduce(name: str, run: Run) -> Reproduced:
    """Test a finished run again.

    Args:
        name: what the run is called.

    Raises:
        UserError: see `predict_again`.
    """
    loss, accuracy = retest(run)
    recorded, facts = run.record.metrics, known(run.record.dataset)
    same = (loss, accuracy) == (recorded["test/loss"], recorded["test/acc"])
    line = (
        f"{name}: {facts.name}{unchecked(facts)} "
        f"test acc {accuracy:.4f} loss {loss:.6f}, recorded {recorded['test/acc']:.4f} "
        f"{recorded['test/loss']:.6f}: {'identical' if same else 'DIFFERENT'}"
    )
    return Reproduced(same, [line, *([f"WARNING {LEAK}"] if leaks(run) else [])])


def retest(run: Run) -> tuple[float, float]:
    """Test loss and test accuracy in [0, 1] of a finished run's best checkpoint, computed anew.

    Raises:
        UserError: see `predict_again`.
    """
    return loss_and_accuracy(*predict_again(run))


def predict_again(run: Run) -> tuple[Tensor, Tensor]:
    """Test logits float32 [N, C] and labels int64 [N] of a finished run's best checkpoint.

    On the kind of device that the run used, when there is one, with as many threads.

    Raises:
        RunError: the run is not finished, not complete or not possible.
        Untrusted: its net is somebody's own, see `fmnist.config.trusted`.
        DataError, DataUnavailable: see `fmnist.data.files`.
    """
    run.require_finished()
    net = run.net("best")
    wanted = run.record.device.partition(" ")[0]
    device = torch.device("cuda" if wanted == "cuda" and torch.cuda.is_available() else "cpu")
    try:
        batches = run.same_data().test_batches(device)
        with recorded_threads(run):
            return predict(net, islice(batches, run.test_batches), device, **run.formats())
    except UserError:
        raise
    except Exception as error:  # a record can describe settings that fit neither each other nor us
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunError(
            f"{run.dir}: a {type(net).__name__} on {run.config['data'].get('name')} as its record "
            f"describes them cannot be evaluated: {reason}"
        ) from error
