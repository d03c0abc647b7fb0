"""Pictures that are no images of the data set: how they are prepared, and what is said of them."""

import csv
import json
import os
import sys

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import nn

import fmnist
from fmnist.data.datamodule import ImageData
from fmnist.data.facts import Look
from fmnist.data.look import measure_look
from fmnist.data.pictures import find_pictures, prepare, read_picture
from fmnist.data.synthetic import garments
from fmnist.errors import DataError
from fmnist.predict import main
from fmnist.runs.run import Run
from fmnist.using import classify
from fmnist.using.answers import answers_of, answers_table, save_inputs
from fmnist.using.classify import (
    Answer,
    Familiar,
    energies_of,
    familiar_with,
    features_of,
    limits,
)
from tests.conftest import Later

samples = Later("sklearn.datasets")
GREY, DARK = (1, 28, 28), Look([0.0], 1.0)
PHOTOS = Look([], 1.0)


def ellipse(width: int, height: int, shade: int = 200) -> Image.Image:
    """A bright ellipse that fills a dark picture."""
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return Image.fromarray(np.where(x**2 + y**2 <= 1, shade, 0).astype(np.uint8))


def on_paper(content: Image.Image, paper: int = 255) -> Image.Image:
    """Negated, as shops show their goods: off the middle of a bright colour picture."""
    picture = Image.new("RGB", (640, 400), (paper,) * 3)
    picture.paste(ImageOps.invert(content).convert("RGB"), (30, 90))
    return picture


def test_a_product_picture_becomes_what_the_sets_authors_would_have_made_of_it():
    made = prepare(on_paper(ellipse(140, 280)), GREY, DARK).astype(int)
    assert made.shape == (28, 28)
    wanted = np.zeros((28, 28), int)
    wanted[:, 7:21] = np.asarray(ellipse(140, 280).resize((14, 28), Image.Resampling.BOX))
    assert np.abs(made - wanted).mean() < 8
    assert made[:, :6].max() == 0  # the background is the set's, not nearly so


def test_a_background_that_is_not_quite_white_is_cut_off_as_well():
    assert (prepare(on_paper(ellipse(140, 280), 240), GREY, DARK)[:, :6] == 0).all()


def test_an_image_of_the_set_stays_as_it_is_and_its_negative_becomes_it():
    images = garments(20, seed=3)[0].numpy()
    look = measure_look(images)
    for image in images:
        for given in (Image.fromarray(image), ImageOps.invert(Image.fromarray(image))):
            assert np.abs(prepare(given, GREY, look).astype(int) - image).max() <= 23


def test_content_is_as_large_as_the_sets_is():
    made = prepare(on_paper(ellipse(200, 200)), GREY, Look([0.0], 20 / 28))
    rows = np.flatnonzero(made.max(1) > 20)
    assert (rows[0], rows[-1]) == (4, 23)


def test_how_a_set_stands_in_its_frames_is_measured():
    digits = np.zeros((50, 28, 28), np.uint8)
    digits[:, 4:24, 8:20] = 255
    assert measure_look(digits) == Look([0.0], 0.7143)
    assert measure_look(255 - digits).background == [255.0]
    photographs = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), np.uint8)
    assert measure_look(photographs) == PHOTOS
    assert measure_look(np.repeat(digits[:, None], 3, 1)) == Look([0.0] * 3, 0.7143)


def test_of_real_photographs_a_set_of_photographs_gets_the_middle():
    for pixels in samples.load_sample_images().images:
        made = prepare(Image.fromarray(pixels), (3, 32, 32), PHOTOS)
        assert made.shape == (3, 32, 32)
        middle = pixels[:, 106:533].mean((0, 1))
        assert np.abs(made.mean((1, 2)) - middle).max() < 2


def test_transparent_upright_and_deep_pictures_are_what_a_viewer_shows(tmp_path):
    content = ellipse(100, 50)
    clear = Image.new("RGBA", (200, 200))
    clear.paste(Image.new("RGB", (100, 50), (55, 55, 55)), (50, 70), content.convert("L"))
    clear.putalpha(Image.fromarray(np.pad(np.asarray(content), ((70, 80), (50, 50)))))
    upright = prepare(clear, GREY, DARK)
    assert upright[14].max() > 50
    assert upright[:6].max() == 0

    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    on_paper(ellipse(50, 300)).rotate(90, expand=True).save(tmp_path / "p.png", exif=exif)
    assert np.array_equal(
        prepare(read_picture(tmp_path / "p.png"), GREY, DARK),
        prepare(on_paper(ellipse(50, 300)), GREY, DARK),
    )

    deep = Image.fromarray(np.asarray(ellipse(56, 56)).astype(np.uint16) * 257)
    assert np.array_equal(prepare(deep, GREY, DARK), prepare(ellipse(56, 56), GREY, DARK))


def test_an_empty_picture_is_an_empty_image():
    assert prepare(Image.new("RGB", (300, 200), "white"), GREY, DARK).max() == 0


def test_what_is_no_picture_is_said_in_one_line(tmp_path):
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails/small.png").touch()  # a viewer's, and nobody's own picture
    assert find_pictures([tmp_path]) == [tmp_path / "notes.png"]
    with pytest.raises(DataError, match=r"notes\.png: not a picture") as caught:
        read_picture(tmp_path / "notes.png")
    assert "\n" not in str(caught.value)


def test_features_are_what_the_last_linear_layer_sees():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 5), nn.ReLU(), nn.Linear(5, 10))
    images = torch.rand(4, 1, 28, 28)
    formats = {"precision": "32-true", "channels_last": False, "tta": "flip"}
    found = features_of(net, [(images, torch.zeros(4))], formats)
    assert torch.equal(found, net[:3](images))
    assert not net[3]._forward_pre_hooks


def test_a_net_that_works_in_place_leaves_batches_as_they_are():
    """They are given again, for its features."""
    net = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 10))
    images = torch.randn(3, 1, 2, 2)
    before = images.clone()
    features_of(net, [(images, torch.zeros(3))], classify.PLAIN)
    assert torch.equal(images, before)


def test_far_is_a_direction_in_which_no_training_image_lies():
    seen = nn.functional.normalize(torch.eye(3)[0] + 0.01 * torch.randn(50, 3), dim=1)
    near, far = Familiar(seen).distances(torch.tensor([[5.0, 0, 0], [0, 5.0, 0]])).tolist()
    assert near < 0.1 < 1 < far


def test_far_is_what_one_of_both_scores_finds_and_one_in_twenty_of_what_is_known():
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 1000, generator=generator)
    familiar = Familiar(torch.eye(3), *limits(*scores))
    assert float(familiar.far(*scores).float().mean()) == pytest.approx(0.05, abs=0.002)
    exceeding = [float((scores[0] > familiar.distance).sum()),
                 float((scores[1] > familiar.energy).sum())]  # fmt: skip
    assert abs(exceeding[0] - exceeding[1]) <= 1
    given = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    assert familiar.far(*given).tolist() == [True, True, False]
    logits = torch.tensor([[9.0, 0.0], [0.0, 0.0]])
    assert energies_of(logits).tolist() == pytest.approx([-9.000123, -0.693147])


@pytest.mark.parametrize("count", [60, 100, 101, 128])
def test_the_images_that_are_compared_come_from_the_whole_set(tiny_run, monkeypatch, count):
    """Some sets are ordered by class."""
    seen = []
    monkeypatch.setattr(classify, "TRAINING", count)
    monkeypatch.setattr(classify, "VALIDATION", count)
    monkeypatch.setattr(
        classify, "features_of",
        lambda net, batches, formats: seen.append(batches) or torch.rand(count, 4),
    )  # fmt: skip
    monkeypatch.setattr(classify, "predict", lambda *_, **__: (torch.rand(count, 10), None))
    familiar_with(tiny_run, torch.nn.Identity())
    data = tiny_run.same_data()
    prepare = classify.Normalize(data.load().mean, data.load().std)
    for batches, images in zip(seen, (data.train_images, data.val_images), strict=True):
        inputs = torch.cat([pixels for pixels, _ in batches])
        every = {image.numpy().tobytes(): n for n, image in enumerate(prepare(images.pixels))}
        places = [every[image.numpy().tobytes()] for image in inputs]
        steps = np.diff([*places, len(images)])
        assert len(places) == count
        assert steps.max() - steps.min() <= 1


def test_predict_shows_writes_and_saves_what_it_found(run_tiny, tmp_path, capsys):
    run = run_tiny("model=logistic")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, pixels in enumerate(samples.load_sample_images().images):
        Image.fromarray(pixels).save(pictures / f"photo{number}.jpg")
    image = run.data()
    image.load()
    Image.fromarray(image.test_images.pixels[0].numpy()).save(pictures / "garment.png")
    (pictures / "readme.txt").write_text("no picture")
    files = {name: tmp_path / name for name in ("out.csv", "out.json", "seen")}
    capsys.readouterr()
    code = main(
        [str(run.dir), str(pictures), "--csv", str(files["out.csv"]), "--json",
         str(files["out.json"]), "--save-inputs", str(files["seen"])]
    )  # fmt: skip
    out = capsys.readouterr()
    assert (code, out.err) == (0, "")
    lines = out.out.splitlines()
    assert len(lines) == 4
    assert all(line.endswith("far from the training data") for line in lines[2:])
    rows = list(csv.DictReader(files["out.csv"].read_text().splitlines()))
    found = json.loads(files["out.json"].read_text())["pictures"]
    assert [row["file"] for row in rows] == [one["file"] for one in found]
    shares = [float(value) for key, value in rows[0].items() if key.startswith("p(")]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    # Of a test image it says what the run's own test said.
    logits, _ = run.predictions()
    assert found[0]["class"] == run.record.dataset.classes[int(logits[0].argmax())]
    first = torch.from_numpy(logits[0]).double().softmax(0).max()
    assert found[0]["probability"] == pytest.approx(float(first), abs=0.05)
    seen = sorted(files["seen"].iterdir())
    assert [path.name for path in seen] == [
        "0001_garment.png", "0002_photo0.png", "0003_photo1.png"
    ]  # fmt: skip
    assert read_picture(seen[0]).size == (28, 28)


def test_a_net_of_pictures_in_folders_sees_new_ones_as_it_saw_those(run_tiny, tmp_path):
    """Not as Fashion-MNIST was made: a disc keeps its size and place."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 3)):
        for name, size in (("small", 10), ("large", 40)):
            (tmp_path / "coins" / part / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.new("L", (64, 64), 255)
                at = tuple(int(x) for x in rng.integers(2, 20, 2))
                picture.paste(ellipse(size, size), at)
                picture.save(tmp_path / "coins" / part / name / f"{number}.png")
    run = run_tiny("data=folder", f"data.root={tmp_path / 'coins'}", "data.size=28",
                   "data.train_size=null", "data.test_size=null", "data.val_size=4",
                   "model=logistic")  # fmt: skip
    paths = sorted((tmp_path / "coins/test").rglob("*.png"))
    _, inputs, _ = answers_of(run, paths)
    tested = run.data()
    tested.load()
    seen = {pixels.tobytes() for pixels in tested.test_images.pixels.numpy()}
    assert {pixels.tobytes() for pixels in inputs.values()} == seen


def test_a_picture_that_cannot_be_read_costs_itself(run_tiny, tmp_path, capsys):
    run = run_tiny("model=logistic")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    # A name that is no text, where a file can have one.
    good = tmp_path / os.fsdecode(b"good\xff.png" if sys.platform == "linux" else b"good.png")
    ellipse(40, 80).save(good)
    capsys.readouterr()
    written = ["--csv", str(tmp_path / "x.csv"), "--json", str(tmp_path / "x.json")]
    assert main([str(run.dir), str(tmp_path / "broken.jpg"), str(good), *written]) == 2
    (picture,) = json.loads((tmp_path / "x.json").read_text())["pictures"]
    assert picture["file"] in (tmp_path / "x.csv").read_text()
    assert picture["file"] == str(good).replace("\udcff", r"\udcff")
    out = capsys.readouterr()
    assert len(out.err.splitlines()) == 1
    assert "broken.jpg" in out.err
    assert len(out.out.splitlines()) == 2
    assert main([str(run.dir), str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such file or folder" in capsys.readouterr().err


def test_without_its_data_set_a_net_answers_and_nothing_is_said_to_be_near(
    tiny_run, tmp_path, capsys, monkeypatch
):
    def broken(run):
        raise DataError("a.png: 1 files cannot be read as pictures")

    monkeypatch.setattr(Run, "same_data", broken)
    ellipse(40, 80).save(tmp_path / "a.png")
    files = tmp_path / "out.csv", tmp_path / "out.json"
    # Options between what is asked, too.
    words = [str(tiny_run.dir), "--csv", str(files[0]), str(tmp_path / "a.png")]
    assert main([*words, "--json", str(files[1])]) == 0
    said = "far from the training data: cannot be told: a.png: 1 files cannot be read"
    assert said in capsys.readouterr().err
    (row,) = csv.DictReader(files[0].read_text().splitlines())
    assert (row["far"], row["distance"]) == ("", "")
    (found,) = json.loads(files[1].read_text())["pictures"]
    assert (found["far"], found["distance"]) == (None, None)


def test_a_reader_of_ones_own_that_fails_costs_no_answer(tiny_run, tmp_path, capsys, monkeypatch):
    def broken(data):
        raise KeyError("labels")

    monkeypatch.setattr(ImageData, "read", broken)
    ellipse(40, 80).save(tmp_path / "a.png")
    assert main([str(tiny_run.dir), str(tmp_path / "a.png")]) == 0
    said = f"cannot be told: {tiny_run.dir}: its data cannot be read: KeyError: 'labels', at "
    assert said in capsys.readouterr().err


def test_from_python_one_path_is_enough(tiny_run, tmp_path):
    ellipse(40, 80).save(tmp_path / "a.png")
    (answer,) = fmnist.predict(str(tiny_run.dir), str(tmp_path / "a.png"))
    assert answer.name == str(tmp_path / "a.png")
    assert answer.far in (False, True)
    (run,) = fmnist.find_runs(str(tiny_run.dir)).runs
    assert run.record == tiny_run.record


def test_classes_with_one_beginning_are_told_apart_in_the_table():
    names = ("long common prefix of one", "long common prefix of two", "short")
    answer = Answer("a.png", dict(zip(names, (0.5, 0.4, 0.1), strict=True)), -1.0)
    line = answers_table([answer]).splitlines()[1]
    assert all(name in line for name in names)
    short = Answer("a.png", {"long common prefix of one": 0.9, "short": 0.1}, -1.0)
    assert "long common pr  90.0%  short " in answers_table([short])


def test_a_picture_may_have_as_long_a_name_as_a_file_can(tmp_path):
    name = 125 * "é" + ".png"
    save_inputs(tmp_path, {name: np.zeros((28, 28), np.uint8)})
    (saved,) = tmp_path.iterdir()
    assert saved.name.startswith("0001_ééé")
