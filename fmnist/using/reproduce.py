"""The test numbers of a finished run, computed anew."""

import torch
from torch import Tensor

from fmnist.errors import RunError, UserError
from fmnist.runs.latency import recorded_threads
from fmnist.runs.run import Run
from fmnist.training.predict import loss_and_accuracy, predict


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
            return predict(net, batches, device, **run.formats())
    except UserError:
        raise
    except Exception as error:  # a record can describe settings that fit neither each other nor us
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise RunError(
            f"{run.dir}: a {type(net).__name__} on {run.config['data'].get('name')} as its record "
            f"describes them cannot be evaluated: {reason}"
        ) from error
