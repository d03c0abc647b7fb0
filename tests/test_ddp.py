"""Two real processes (gloo): the result of one, in a single run and inside a sweep."""

import pytest
import torch

from fmnist.run import load_run
from tests.conftest import TINY, command

# SGD and a tail: 520 training images leave 8 for the last batch, 4 a process.
ARGUMENTS = [
    *(text for text in TINY if not text.startswith(("trainer.", "data.train_size"))),
    "data.train_size=648", "trainer.max_epochs=2", "optim=sgd", "aug=on",
]  # fmt: skip


def weights(run):
    return torch.cat([p.flatten() for p in run.net("last").state_dict().values()])


def single(tmp_path, name, *overrides):
    from fmnist.launch import Launch
    from fmnist.train import train
    from tests.conftest import composed

    train(composed(*ARGUMENTS, "trainer.accelerator=cpu", *overrides), Launch(tmp_path / name))
    return load_run(tmp_path / name)


def test_two_processes_train_the_same_net_as_one(tmp_path):
    done = command("fmnist.train", "trainer=ddp", *ARGUMENTS, "hydra.run.dir=ddp", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    both, alone = load_run(tmp_path / "ddp"), single(tmp_path, "single")
    assert both.record["devices"] == 2
    assert both.record["status"] == "finished"
    torch.testing.assert_close(weights(both), weights(alone), rtol=1e-3, atol=1e-5)
    for row, expected in zip(both.record["epochs"], alone.record["epochs"], strict=True):
        assert row["step"] == expected["step"]
        assert row["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-4)
        assert row["val/acc"] == pytest.approx(expected["val/acc"], abs=0.02)
    # One process speaks, and only the files of a run are there.
    assert done.stdout.count("epoch 1/2") == 1
    assert sorted(path.name for path in (tmp_path / "ddp").iterdir()) == [
        ".hydra", "checkpoints", "metrics.csv", "predictions.npz", "result.json", "train.log",
    ]  # fmt: skip


def test_inside_a_sweep_every_job_trains_its_own_configuration(tmp_path):
    done = command(
        "fmnist.train", "-m", "trainer=ddp", *ARGUMENTS, "seed=0,1", "hydra.sweep.dir=sweep",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for seed in (0, 1):
        job = load_run(tmp_path / "sweep" / str(seed))
        assert job.record["seed"] == seed
        expected = weights(single(tmp_path, f"single{seed}", f"seed={seed}"))
        torch.testing.assert_close(weights(job), expected, rtol=1e-3, atol=1e-5)
