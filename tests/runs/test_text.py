"""What the terminal says of a run fits into 80 columns."""

from dataclasses import replace
from pathlib import Path

from fmnist.data.facts import DatasetFacts
from fmnist.runs.text import announcement, epoch_line, totals_line
from tests.records import CLASSES, CONFIG, a_record, an_epoch


def test_the_lines_of_a_usual_run_fit_into_eighty_columns(tmp_path: Path) -> None:
    data = DatasetFacts(
        "FashionMNIST", {}, CLASSES, 55_000, 5_000, 10_000, 0, "", 0.2858, 0.3529
    )  # fmt: skip
    config = CONFIG | {
        "optim": {"_target_": "torch.optim.Adam", "lr": 1e-3}, "data": {"batch_size": 64},
        "trainer": {"max_epochs": 100}, "aug": {"_target_": "fmnist.data.augment.RandomAffine"},
    }  # fmt: skip
    record = replace(a_record(config=config, dataset=data), params=61_706, flops=833_040)
    own = replace(data, name="pictures_of_shoes", checked=False, select_on="test")
    config = config | {"label_smoothing": 0.1, "tta": "flip_shift", "ema_decay": 0.999}
    rows = [an_epoch(0, 0.5), an_epoch(99, 0.9, seconds=99.9)]
    said = [
        *announcement(record, "LeNet5", Path("outputs/run")).splitlines(),
        *announcement(replace(record, config=config, dataset=own), "LeNet5", Path()).splitlines(),
        epoch_line(rows, 100),
        totals_line(record, Path("outputs/2026-01-31/12-00-00-000000")),
    ]
    assert max(map(len, said)) <= 80, max(said, key=len)
    assert epoch_line(rows, 100).endswith("99.9 s  best")
    assert said[-1].startswith("1 epoch in")
