"""A net of a colour set of five classes is used as one of ten grey ones is."""

import pytest
import torch
from PIL import Image

from fmnist.evaluate import main as evaluate
from fmnist.predict import main as predict
from fmnist.report import main as report
from fmnist.runs.corrupted import read_corrupted
from fmnist.using.export import export

COLOUR = ("data.channels=3", "data.size=20", "data.classes=5", "data.test_size=50")


@pytest.mark.long
def test_predict_export_corruptions_and_the_report_take_any_channels_size_and_classes(
    run_tiny, tmp_path, capsys
):
    run = run_tiny(*COLOUR)
    data, classes = run.data(), run.record.dataset.classes
    data.load()
    pixels, wanted = data.test_images.pixels, run.predictions()[0].argmax(1)
    for number in range(6):
        image = Image.fromarray(pixels[number].numpy().transpose(1, 2, 0))
        image.save(tmp_path / f"{number}.png")
    capsys.readouterr()
    assert predict([str(run.dir), str(tmp_path)]) == 0
    said = [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert said == [classes[label].split()[0] for label in wanted[:6]]
    assert export(run, tmp_path / "net.pt2", "pt2").to_record < 1e-4
    logits = torch.export.load(tmp_path / "net.pt2").module()(pixels[:7])
    assert logits.argmax(1).tolist() == wanted[:7].tolist()
    assert evaluate([str(run.dir), "--corruptions"]) == 0
    assert read_corrupted(run.dir, run.record) is not None
    assert report([str(run.dir), "--no-latency"]) == 0
    assert "Test images of " in (run.dir / "report/report.html").read_text()
