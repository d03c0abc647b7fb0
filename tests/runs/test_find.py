"""What was varied between runs, told from their overrides and from what nobody overrode."""

from itertools import product
from pathlib import Path
from typing import Any

from fmnist.reporting.table import read_table, show_level
from fmnist.runs.find import factors, find_runs
from fmnist.runs.manifest import SWEEP, Cell, Manifest, manifest_json
from fmnist.runs.rows import canonical, rows_of
from tests.records import CONFIG, a_record, put_record

NONE = show_level(None)


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


def test_of_a_seed_that_was_run_again_the_later_run_counts(tmp_path: Path) -> None:
    """As in claims, wherever it lies."""
    for name, day in (("b", 1), ("a", 2)):
        started = f"2026-01-0{day}T00:00:00+00:00"
        put_record(tmp_path / name, a_record(started=started))
    (setting,) = read_table([tmp_path]).settings
    assert setting.rows[0].name == "a"


def test_groups_and_lists_are_levels_of_their_own(tmp_path: Path) -> None:
    for seed, (at, name) in enumerate([(1, "a"), (2, "b")]):
        values = {"callbacks": {"x": {"_target_": "mine", "at": at}}, "optim": {"betas": [at]}}
        put(tmp_path / name, seed, ["+callbacks.x={}", "+optim.betas=[]"], **values)
    table = read_table([tmp_path])
    assert table.factors == {
        "callbacks.x": ['{"_target_": "mine", "at": 1}', '{"_target_": "mine", "at": 2}'],
        "optim.betas": ["[1]", "[2]"],
    }
    assert [one.levels["optim.betas"] for one in table.settings] == ["[1]", "[2]"]


def test_what_changes_no_result_is_no_factor(tmp_path: Path) -> None:
    for seed, name in enumerate("ab"):
        put(tmp_path / name, seed, ["tags=[]", "data.root=x", "logger=csv"], tags=[name],
            data={"root": name})  # fmt: skip
    assert list(factors(find_runs([tmp_path]).runs)) == ["seed"]


def test_missing_cells_are_of_the_settings_that_they_would_have(tmp_path: Path) -> None:
    """As the levels of trained cells are shown, and where those are all of one level."""
    cells = [
        Cell(f"{number}", [f"gradient_clip_val={clip}", f"+optim.betas={betas}", "seed=0"], "")
        for number, (clip, betas) in enumerate(
            product(("null", "1.0"), ("[0.9,0.999]", "[0.8,0.99]"))
        )
    ]
    (tmp_path / SWEEP).write_bytes(manifest_json(Manifest(cells)))
    for cell, betas in zip(cells[:2], ([0.9, 0.999], [0.8, 0.99]), strict=True):
        put(tmp_path / cell.dir, 0, cell.overrides[:2], gradient_clip_val=None,
            optim={"betas": betas})  # fmt: skip
    table = read_table([tmp_path])
    assert table.factors == {
        "optim.betas": ["[0.9, 0.999]", "[0.8, 0.99]"], "gradient_clip_val": [NONE, "1"],
    }  # fmt: skip
    missing = [row.levels for row in table.rows if row.status == "missing"]
    assert missing == [
        {"gradient_clip_val": "1", "optim.betas": betas} for betas in table.factors["optim.betas"]
    ]
    assert [one.levels["gradient_clip_val"] for one in table.settings] == [NONE, NONE]


def test_the_data_set_is_a_factor_also_where_something_else_was_varied(tmp_path: Path) -> None:
    for seed, (name, rate) in enumerate((("A", 0.1), ("B", 0.2))):
        put(tmp_path / name, seed, [f"optim.lr={rate}", f"data.root={name}"], optim={"lr": rate},
            data={"name": name})  # fmt: skip
    assert read_table([tmp_path]).factors == {"optim.lr": ["0.1", "0.2"], "data.name": ["A", "B"]}


def test_levels_that_are_not_the_same_stay_apart(tmp_path: Path) -> None:
    """1 is every batch, 1.0 every epoch; and two rates may be alike in six digits."""
    levels = ((1, 0.0012345678), (1.0, 0.0012345681))
    for seed, (every, rate) in enumerate(levels):
        put(tmp_path / str(seed), seed, [f"trainer.val_check_interval={every}", f"optim.lr={rate}"],
            trainer={"val_check_interval": every}, optim={"lr": rate})  # fmt: skip
    table = read_table([tmp_path])
    assert table.factors == {
        "trainer.val_check_interval": ["1", "1.0"],
        "optim.lr": ["0.0012345678", "0.0012345681"],
    }
    assert len(table.settings) == 2
    rows = rows_of(find_runs([tmp_path]).runs)
    assert len({row.did for row in rows}) == 2
    assert len({canonical(value) for value in (1234567890123, 1234567890124)}) == 2
