"""Reading runs back: evaluate, load_run, and what a damaged directory gives."""

import errno
import json
import os
from dataclasses import replace

import pytest
import torch

from fmnist.errors import RunError
from fmnist.evaluate import main
from fmnist.runs.leak import LEAK
from fmnist.runs.run import load_run, write_atomically
from fmnist.using.reproduce import retest
from tests.conftest import here


def test_evaluate_reproduces_the_test_numbers_exactly(run_tiny, capsys):
    run = run_tiny("model=fashioncnn", "aug=on", "channels_last=true")
    metrics = run.record.metrics
    assert retest(run) == (metrics["test/loss"], metrics["test/acc"])
    assert main([str(run.dir)]) == 0
    assert "identical" in capsys.readouterr().out


def test_evaluate_reproduces_bf16_numbers_exactly(run_tiny):
    run = run_tiny("model=fashioncnn", "trainer.precision=bf16-mixed")
    assert retest(run)[0] == run.record.metrics["test/loss"]


def test_evaluate_computes_with_the_threads_of_the_run_and_no_more_than_there_are(
    tiny_run, monkeypatch
):
    run = tiny_run
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    before = torch.get_num_threads()
    for threads in (1, 10**9):
        run.write(replace(run.record, threads=threads))
        retest(load_run(run.dir))
    assert asked == [1, before, os.cpu_count(), before]


def test_evaluate_tells_when_a_number_is_not_reproduced(tiny_run, capsys):
    run = tiny_run
    metrics = run.record.metrics | {"test/acc": run.record.metrics["test/acc"] / 2}
    run.write(replace(run.record, metrics=metrics))
    assert main([str(run.dir)]) == 1
    assert "DIFFERENT" in capsys.readouterr().out


def test_evaluate_warns_of_a_run_that_chose_on_the_test_set(run_tiny, capsys):
    run = run_tiny("data.select_on=test")
    capsys.readouterr()
    assert main([str(run.dir)]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [f"WARNING {LEAK}"]


def test_evaluate_goes_on_after_a_directory_that_is_none(tiny_run, tmp_path, capsys):
    assert main([str(tmp_path / "nowhere"), str(tiny_run.dir)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert "not a run directory" in captured.err
    assert "identical" in captured.out


def test_evaluate_as_a_command_needs_no_dashboard_and_says_it_in_a_line(tiny_run, tmp_path):
    done = here("fmnist.evaluate", str(tiny_run.dir), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert not (tmp_path / "wandb").exists()


def test_the_net_is_rebuilt_from_the_runs_own_configuration(run_tiny):
    run = load_run(run_tiny("model.pooling=max", "model.dropout=0.3").dir)
    net = run.net()
    assert not net.training
    assert any(isinstance(module, torch.nn.MaxPool2d) for module in net.modules())
    assert any(isinstance(module, torch.nn.Dropout) for module in net.modules())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}'])
def test_a_damaged_record_is_one_clear_error(tmp_path, content):
    (tmp_path / "result.json").write_text(content)
    with pytest.raises(RunError, match=r"result\.json"):
        load_run(tmp_path)


def test_a_missing_or_damaged_part_is_one_clear_error(tiny_run):
    run = tiny_run
    (run.dir / "predictions.npz").write_bytes(b"PK nonsense")
    with pytest.raises(RunError, match=r"predictions\.npz"):
        run.predictions()
    (run.checkpoints / "best.ckpt").unlink()
    with pytest.raises(RunError, match=r"best\.ckpt"):
        run.net()
    (run.checkpoints / "last.ckpt").write_bytes(b"nonsense")
    with pytest.raises(RunError, match=r"last\.ckpt"):
        run.net("last")


def test_an_unfinished_run_is_not_evaluated(tiny_run):
    tiny_run.write(replace(tiny_run.record, status="failed"))
    with pytest.raises(RunError, match="status is failed"):
        retest(tiny_run)


def test_writing_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "result.json"
    write_atomically(path, b"old")

    def fail(one, other):
        raise OSError(errno.ENOSPC, "No space left on device", str(one), None, str(other))

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space") as failed:
        write_atomically(path, json.dumps({"new": 1}).encode())
    assert str(failed.value) == f"[Errno 28] No space left on device: '{path}'"
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
    with pytest.raises(NotADirectoryError) as failed:  # nor does what is tidied up hide the error
        write_atomically(path / "x.json", b"new")
    assert failed.value.filename == str(path / "x.json")
