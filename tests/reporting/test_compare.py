"""`python -m fmnist.compare`: settings beside each other, in a terminal and as a page."""

from pathlib import Path

import numpy as np
import pytest

from fmnist.compare import main
from fmnist.errors import RunError
from fmnist.evidence.images import mcnemar
from fmnist.evidence.settings import compare, differing, read_settings
from tests.records import CONFIG, FACTS, a_record, an_epoch, put_record

ACCURACIES = {"avg": (0.70, 0.71, 0.72), "max": (0.80, 0.81, 0.82)}


def put_seeds(folder: Path, pooling: str, accuracies: tuple[float, ...]) -> Path:
    """A run for every accuracy; of 20 test images the first are right, as many as it says."""
    for seed, accuracy in enumerate(accuracies):
        metrics = dict.fromkeys(a_record().metrics, accuracy)
        config = CONFIG | {"model": {"pooling": pooling}, "seed": seed}
        epochs = [an_epoch(number, accuracy - 0.1 + number / 20) for number in range(3)]
        run = put_record(
            folder / f"{pooling}{seed}",
            a_record(config=config, seed=seed, metrics=metrics, epochs=epochs, best_epoch=2,
                     config_hash=f"{pooling}{seed}", overrides=[f"model.pooling={pooling}"]),
        )  # fmt: skip
        labels = np.arange(FACTS.test_size) % 10
        said = np.where(np.arange(20) < round(20 * accuracy), labels, (labels + 1) % 10)
        np.savez(run / "predictions.npz", logits=np.eye(10, dtype=np.float32)[said], labels=labels)
    return folder


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for pooling, accuracies in ACCURACIES.items():
        put_seeds(tmp_path / "study", pooling, accuracies)
    return tmp_path / "study"


def test_a_sweep_is_compared_by_its_settings_in_eighty_columns(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[2:])) <= 80
    table = [" ".join(line.split()) for line in lines]
    assert "model.pooling avg max" in table
    assert "test accuracy (%) 71.00 ± 2.48 81.00 ± 2.48 +10.00" in table
    assert "class 4 50.00 ± 0.01 100.00 [99.99, 100.00] +50.00" in table
    assert lines[-1].startswith("B - A: +10.00 points [+7.73, +12.27], 3 seeds, p 0.0003")
    assert lines[-1].endswith("B is higher")
    assert any("right in B alone 2, in A alone 0, in both 14, in neither 4" in t for t in lines)


def test_the_page_shows_curves_classes_and_what_one_side_alone_gets_right(
    sweep: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    assert main([str(sweep), "--html", str(page)]) == 0
    html = page.read_text()
    for words in ("B is higher", "Validation accuracy", "Recall by class", "Images not shown"):
        assert words in html
    assert html.count("<svg") == 4
    assert "http:" not in html.replace("http://www.w3.org", "")


def test_from_python_a_verdict_and_an_interval_of_two_folders_of_seeds(tmp_path: Path) -> None:
    sides = [put_seeds(tmp_path / p, p, ACCURACIES[p]) for p in ("max", "avg")]
    found = compare(*sides)
    assert found.difference.mean == pytest.approx(10)
    assert found.verdict == "model.pooling=max is higher"
    assert str(found).startswith("model.pooling=max - model.pooling=avg: +10.00 [+7.73, +12.27]")
    assert compare(sides[0], sides[0]).verdict == "undecided"


def test_two_seeds_decide_nothing_and_seeds_that_differ_are_not_compared(tmp_path: Path) -> None:
    sides = [put_seeds(tmp_path / p, p, ACCURACIES[p][:2]) for p in ("max", "avg")]
    found = compare(*sides)
    assert found.significant
    assert found.verdict == "undecided"
    with pytest.raises(RunError, match="no seed in common: seeds 0 and 1"):
        compare(sides[0] / "max0", sides[1] / "avg1")


def test_what_cannot_be_compared_is_said_in_a_line(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(sweep / "avg0"), str(sweep / "avg1")]) == 0  # two runs, no matched seed
    assert "no seed in common" in capsys.readouterr().out
    with pytest.raises(RunError, match=r"2 settings, which differ in model\.pooling"):
        compare(sweep, sweep)
    assert main([str(sweep / "avg0")]) == 2
    assert "one setting; should be two or more" in capsys.readouterr().err
    for number in range(7):
        put_seeds(tmp_path / "many", f"pool{number}", (0.5,))
    assert main([str(tmp_path / "many")]) == 2
    assert "7 settings: should be at most 6" in capsys.readouterr().err
    unfinished = put_record(tmp_path / "half", a_record("running"))
    assert main([str(sweep), str(unfinished)]) == 2
    assert "no run here has finished" in capsys.readouterr().err


def test_sides_are_called_by_what_differs(sweep: Path) -> None:
    sides = read_settings([sweep])
    assert [side.name for side in sides] == ["model.pooling=avg", "model.pooling=max"]
    assert differing(sides) == {"model.pooling": ["avg", "max"]}


def test_the_interval_of_two_runs_covers_other_images_and_never_leaves_what_is_possible() -> None:
    """1,000 draws of 500 images from a known pair of nets, of which 95 % should cover."""
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        kinds = generator.choice(4, size=500, p=(0.06, 0.02, 0.82, 0.10))
        first, second = np.isin(kinds, (0, 2)), np.isin(kinds, (1, 2))
        found = mcnemar(first, second)
        covered += found.low <= 4.0 <= found.high
    assert 930 <= covered <= 970
    everything, nothing = np.ones(3, bool), np.zeros(3, bool)
    assert mcnemar(everything, nothing).high <= 100
