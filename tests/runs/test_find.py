"""What was varied between runs, told from their overrides and from what nobody overrode."""

from pathlib import Path
from typing import Any

from fmnist.reporting.table import read_table
from fmnist.runs.find import factors, find_runs
from tests.records import CONFIG, a_record, put_record


def put(folder: Path, seed: int, overrides: list[str], **config: Any) -> Path:
    record = a_record(
        config=CONFIG | {"seed": seed} | config, seed=seed, overrides=[*overrides, f"seed={seed}"]
    )
    return put_record(folder, record)


def test_runs_before_and_after_an_option_was_edited_are_of_two_settings(tmp_path: Path) -> None:
    for name, seed, rate in (("a", 0, 0.001), ("b", 1, 0.1), ("c", 1, 0.001)):
        put(tmp_path / name, seed, ["model.pooling=max"], optim={"lr": rate, "betas": [0.9, 0.99]})
    table = read_table([tmp_path])
    assert table.factors == {"optim.lr": ["0.001", "0.1"]}
    assert [list(one.rows) for one in table.settings] == [[0, 1], [1]]


def test_a_setting_that_earlier_records_lack_is_none_that_was_varied(tmp_path: Path) -> None:
    put(tmp_path / "old", 0, [])
    trainer = {"max_epochs": 4, "precision": "auto"}
    put(tmp_path / "new", 1, [], tta="none", trainer=trainer, data={"folds": None})
    assert list(factors(find_runs([tmp_path]).runs)) == ["seed"]


def test_groups_and_lists_are_levels_of_their_own(tmp_path: Path) -> None:
    for seed, (at, name) in enumerate([(1, "a"), (2, "b")]):
        values = {"callbacks": {"x": {"_target_": "mine", "at": at}}, "tags": [name]}
        put(tmp_path / name, seed, ["+callbacks.x={}", "tags=[]"], **values)
    table = read_table([tmp_path])
    assert table.factors == {
        "callbacks.x": ['{"_target_": "mine", "at": 1}', '{"_target_": "mine", "at": 2}'],
        "tags": ['["a"]', '["b"]'],
    }
    assert [one.levels["tags"] for one in table.settings] == ['["a"]', '["b"]']
