"""compile=true: the same training, by torch.compile where that can be done."""

import pytest
import torch

from fmnist.config.devices import check_devices
from fmnist.config.schema import config_hash
from fmnist.errors import ConfigError
from fmnist.runs.job import Job
from fmnist.runs.run import load_run, read_checkpoint
from fmnist.train import train
from fmnist.training.compiled import CompiledNet
from tests.conftest import TINY, composed

SHORT = ("data.train_size=260", "data.val_size=80")  # an epoch: five batches of 32, one of 20


def weights(run, which="last"):
    return read_checkpoint(run.checkpoints / f"{which}.ckpt")["state_dict"]


@pytest.fixture
def compiler(monkeypatch):
    """Stands in for torch.compile: the sizes of the batches that it got, and how it was asked."""
    seen = []

    def stand_in(net, **options):
        seen.append(options)

        def call(images):
            seen.append(len(images))
            return net(images)

        return call

    monkeypatch.setattr(torch, "compile", stand_in)
    return seen


def test_steps_of_full_batches_are_compiled_and_nothing_else_changes(run_tiny, compiler):
    plain = run_tiny(*SHORT)
    assert compiler == []
    run = run_tiny(*SHORT, "compile=true")
    assert compiler == [{"dynamic": False, "mode": None}, 32, 32, 32, 32, 32]
    ours, theirs = weights(run), weights(plain)
    assert [*ours] == [*theirs]
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert config_hash(run.config) != config_hash(plain.config)


def test_a_net_that_torch_cannot_compile_is_said_in_one_line(monkeypatch, tmp_path):
    def broken(images):
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(torch, "compile", lambda net, **options: broken)
    words = (
        "^compile=true: torch cannot compile LeNet5 here: RuntimeError: no kernel, at .*: should "
    )
    with pytest.raises(ConfigError, match=f"{words}be false$"):
        train(composed(*TINY, *SHORT, "compile=true"), Job(tmp_path / "run"))
    assert load_run(tmp_path / "run").record.status == "failed"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["trainer.devices=2"], "should be false where trainer.devices=2, not 1"),
        (["trainer.accelerator=cpu"], "needs a C.. compiler, and there is no nothing-like-it here"),
    ],
)
def test_where_it_cannot_be_it_is_refused_before_anything_trains(monkeypatch, settings, words):
    monkeypatch.setenv("CXX", "nothing-like-it -O3")
    with pytest.raises(ConfigError, match=f"^compile=true: {words}$"):
        check_devices(composed("compile=true", *settings))


def test_on_a_gpu_what_a_step_gave_outlasts_the_next_step(monkeypatch, compiler):
    """CUDA graphs write their results to the same memory every time."""

    class Images(list):
        device = torch.device("cuda")

    steps, memory = [], torch.ones(2, 10)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: steps.append(0))
    for given, part in ((memory, lambda made: made), ((memory, memory), lambda made: made[1])):
        net = CompiledNet(lambda images, given=given: given)
        made = part(net(Images("ab")))
        memory.zero_()
        assert made.tolist() == torch.ones(2, 10).tolist()
        memory.fill_(1)
    assert len(steps) == 2
    assert compiler[0] == {"dynamic": False, "mode": "reduce-overhead"}


@pytest.mark.long
def test_a_compiled_run_is_the_same_within_rounding_and_goes_on(run_tiny, tmp_path):
    """As the compiler does it, on a CPU: 20 s."""
    plain, run = (run_tiny(*SHORT, f"compile={word}") for word in ("false", "true"))
    ours, theirs = weights(run), weights(plain)
    assert [*ours] == [*theirs]
    assert not all(torch.equal(ours[name], theirs[name]) for name in theirs)  # it was compiled
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-3, atol=1e-4)
    logits = run.predictions()[0]
    images = torch.cat([images for images, _ in run.data().test_batches(torch.device("cpu"))])
    with torch.no_grad():
        again = run.net("best")(images)
    torch.testing.assert_close(again, torch.from_numpy(logits), rtol=1e-4, atol=1e-4)
    settings = ("compile=true", "trainer.max_epochs=2")
    whole = run_tiny(*SHORT, *settings)
    longer = run_tiny(*SHORT, *settings, f"ckpt_path={run.dir}")
    ours, theirs = weights(longer), weights(whole)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
