"""A trained net as one file: what it computes, what it says of itself, and what is refused."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from fmnist.config.schema import CONF_DIR
from fmnist.errors import RunError
from fmnist.export import main
from fmnist.runs.run import load_run
from fmnist.using.export import WRITERS, export, in_words
from tests.records import a_record, put_record

NETS = sorted(path.stem for path in (CONF_DIR / "model").glob("*.yaml"))
LARGE = ("alexnet", "alternativecnn", "cnnmodel5", "googlenet")  # of whose kind are smaller ones
SMALL = ("data.train_size=96", "data.val_size=32", "data.test_size=40")


@pytest.mark.parametrize(
    "net",
    [pytest.param(net, marks=[pytest.mark.long] * (net in LARGE)) for net in NETS],
)
def test_every_net_is_exported_names_its_run_and_computes_what_it_was_tested_with(
    net, run_tiny, tmp_path
):
    run = run_tiny(f"model={net}", *SMALL)
    made = export(run, tmp_path / "net.pt2", "pt2")
    assert made.to_net < 1e-4
    if run.record.precision == "32-true":
        assert made.to_record < 1e-4
    says = {"classes": "", "config_hash": ""}
    program = torch.export.load(tmp_path / "net.pt2", extra_files=says).module()
    assert json.loads(says["classes"]) == run.record.dataset.classes
    assert says["config_hash"] == run.record.config_hash
    weights = sum(value.nbytes for value in run.net().state_dict().values())
    assert (tmp_path / "net.pt2").stat().st_size < weights + 10**6  # no test images are in it
    data = run.data()
    data.load()
    for count in (1, 3, 40):
        logits = program(data.test_images.pixels[:count].unsqueeze(1)).detach().numpy()
        assert np.allclose(logits, run.predictions()[0][:count], atol=0.2)


def test_an_onnx_file_needs_neither_torch_nor_mean_and_deviation(run_tiny, tmp_path, capsys):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = run_tiny("tta=flip")
    capsys.readouterr()
    assert main([str(run.dir), "--onnx"]) == 0
    assert "net.onnx" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(run.dir / "net.onnx", providers=["CPUExecutionProvider"])
    data = run.data()
    data.load()
    for count in (1, 7):
        pixels = data.test_images.pixels[:count].unsqueeze(1).numpy()
        (logits,) = session.run(None, {"pixels": pixels})
        assert np.allclose(logits, run.predictions()[0][:count], atol=1e-4)
    says = session.get_modelmeta().custom_metadata_map
    assert json.loads(says["classes"]) == run.record.dataset.classes


def test_a_net_whose_logits_are_not_the_recorded_ones_is_not_written(run_tiny, tmp_path, capsys):
    run = run_tiny(*SMALL)
    logits, labels = run.predictions()
    with (run.dir / "predictions.npz").open("wb") as file:
        np.savez(file, logits=logits + 0.001, labels=labels)
    with pytest.raises(RunError, match=r"differ by 0\.001 from the recorded logits"):
        export(load_run(run.dir), tmp_path / "net.pt2", "pt2")
    assert not (tmp_path / "net.pt2").exists()
    run.write(replace(run.record, status="failed"))
    assert main([str(run.dir)]) == 2
    assert "status is failed" in capsys.readouterr().err


def test_without_its_extra_onnx_is_refused_in_one_line(run_tiny, monkeypatch, capsys):
    run = run_tiny(*SMALL)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    capsys.readouterr()
    assert main([str(run.dir), "--onnx"]) == 2
    assert "fmnist[onnx]" in capsys.readouterr().err
    assert not list(run.dir.glob("*.onnx"))


@pytest.mark.parametrize("size", [("data.test_size=1",), ("+trainer.limit_test_batches=1",)])
def test_one_test_image_or_a_part_of_them_is_enough_to_compare(run_tiny, tmp_path, size):
    run = run_tiny("data.eval_batch_size=20", *size)
    tested = len(run.predictions()[0])
    assert tested in (1, 20)
    made = export(run, tmp_path / "net.pt2", "pt2")
    assert made.to_record < 1e-4
    program = torch.export.load(tmp_path / "net.pt2").module()
    assert program(torch.zeros(3, 1, 28, 28, dtype=torch.uint8)).shape == (3, 10)


def test_a_net_that_asks_for_the_length_of_a_batch_is_told_what_to_ask_for() -> None:
    class OfOneSize(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().flatten(1) + torch.zeros(1, 1).expand(len(pixels), 4)

    with pytest.raises(Exception, match="constant") as failed:  # the exporter's own error
        WRITERS["pt2"](OfOneSize(), torch.zeros(2, 1, 2, 2, dtype=torch.uint8), {})
    assert in_words(failed.value).endswith("len(x) gives that, x.shape[0] any")
    assert in_words(ValueError("other\nthings")) == "ValueError: other things"


def test_a_file_is_of_the_kind_that_its_name_says(tmp_path, capsys):
    put_record(tmp_path, a_record())
    assert main([str(tmp_path), "--out", "net.onnx"]) == 2
    assert "net.onnx: the file would be .pt2: --onnx makes" in capsys.readouterr().err
    assert main([str(tmp_path), "--onnx", "--out", "net.pt2"]) == 2
    assert "net.pt2: the file would be .onnx: leave --onnx out" in capsys.readouterr().err
