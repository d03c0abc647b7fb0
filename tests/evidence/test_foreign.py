"""Anybody's table judged by the rules: exports of W&B and of pandas, and what can be wrong."""

from pathlib import Path

import pytest

from fmnist.claims import main
from fmnist.evidence.foreign import evaluate_foreign, load_foreign
from fmnist.evidence.text import remarks, verdict_words
from fmnist.runs.foreign_rows import read_foreign

TABLES = Path(__file__).parent / "foreign"


def judged(table: str, claims: str):
    runs, _ = read_foreign(TABLES / table)
    return {o.claim.name: o for o in evaluate_foreign(load_foreign(TABLES / claims), runs)}


def test_an_export_of_wandb_is_judged_by_the_rules():
    found = judged("wandb_export.csv", "wandb_claims.yaml")
    adam = found["adam_value"]
    assert (adam.judgement.verdict, adam.runs, adam.judgement.seeds) == ("holds", 6, 6)
    assert adam.part.sides[0][:2] == pytest.approx((90.16, 90.14))  # percent, by seed
    # The crashed run counts as chance where that is known, and forbids a verdict elsewhere.
    compared, loss = found["adam_beats_sgd"], found["adam_loss"]
    assert min(compared.part.sides[1]) == 10
    assert compared.judgement.verdict == "undecided"
    assert loss.judgement.verdict == "not judged"
    assert "its sides differ also in optim.lr (0.001 against 0.05)" in compared.note


def test_a_frame_of_pandas_is_judged_by_the_rules():
    found = judged("pandas.csv", "pandas_claims.yaml")
    assert found["augmentation"].judgement.verdict == "holds"
    assert found["augmentation"].part.seeds == (1, 2, 3, 4, 5)
    # A run without a number has failed; its seed cannot be averaged over both batch sizes.
    overall = found["augmentation_overall"]
    assert (overall.failed, overall.judgement.verdict) == (1, "not judged")
    assert overall.part.seeds == (1, 2, 4, 5)


def test_the_command_says_what_the_table_holds(capsys, tmp_path):
    arguments = ["--rows", str(TABLES / "wandb_export.csv"), "--csv", str(tmp_path / "out.csv")]
    assert main([*arguments, "--claims", str(TABLES / "wandb_claims.yaml")]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("11 runs finished, 1 failed, 1 not ended: left out ")
    assert "worst 0.3168 (seed 2)" in out  # the largest loss
    assert "on the test images and the split of these runs" in out
    assert "adam_value,wandb_claims,holds" in (tmp_path / "out.csv").read_text()
    assert main(arguments) == 2
    assert "its columns are Name, State" in capsys.readouterr().err


def asked_of(tmp_path, rows, claim):
    (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "claims.yaml").write_text(f"mine: {claim}\n")
    runs, _ = read_foreign(tmp_path / "rows.csv")
    (outcome,) = evaluate_foreign(load_foreign(tmp_path / "claims.yaml"), runs)
    return outcome


def test_an_empty_field_is_asked_for_by_any_of_its_names(tmp_path):
    fields = [f"{seed},{aug},{3 * (aug == 'flip') + seed / 10}" for seed in range(3)
              for aug in ("none", "flip")]  # fmt: skip
    rows = "\n".join(["seed,aug,score", *fields])
    claim = "{claim: W., metric: score, margin: 0.1, higher: {aug: flip}, lower: {aug: %s}}"
    for name in ("none", "null", "None"):
        outcome = asked_of(tmp_path, rows, claim % name)
        assert (outcome.judgement.verdict, outcome.runs) == ("holds", 6)


def test_of_whole_numbers_only_what_is_higher_is_judged(tmp_path):
    rows = "seed,reward\n" + "".join(f"{seed},{200 + seed}\n" for seed in range(6))
    outcome = asked_of(tmp_path, rows, "{claim: W., at_least: {reward: 100}}")
    assert verdict_words(outcome) == "not judged: whole numbers"
    assert outcome.part.sides == ((200, 201, 202, 203, 204, 205),)


def test_a_margin_in_another_unit_than_the_column_is_told(tmp_path):
    fields = [f"{seed},{lr},{0.9 + lr / 10 + seed / 1000}" for seed in range(5) for lr in (0, 1)]
    rows = "\n".join(["seed,lr,val_acc", *fields])
    claim = "{claim: W., metric: val_acc, margin: %s, higher: {lr: 1}, lower: {lr: 0}}"
    words = "the margin 0.2 is more than val_acc varies at all, from 0.9 to 1.004: is it in"
    assert words in remarks(asked_of(tmp_path, rows, claim % 0.2))[-1]
    assert not any("margin" in text for text in remarks(asked_of(tmp_path, rows, claim % 0.002)))


HEAD = "seed,lr,loss\n"
ROWS = HEAD + "".join(f"{seed},{lr},{lr}\n" for seed in range(3) for lr in (0.1, 0.2))
CLAIM = "{claim: Words., metric: loss, margin: 0.1, higher: {lr: 0.2}, lower: {lr: 0.1}}"


@pytest.mark.parametrize(
    ("rows", "claim", "message"),
    [
        (ROWS, CLAIM.replace("lr", "l_r"), "mine: l_r: no such column; did you mean lr?"),
        (ROWS, CLAIM.replace("metric: loss", "metric: los"), "los: no such column; did you mean"),
        (ROWS, CLAIM.replace("margin: 0.1, ", ""), "margin: is missing: the smallest difference"),
        (ROWS, CLAIM.replace("margin: 0.1", "margin: -1"), "margin: -1: should be 0 or more"),
        (ROWS, CLAIM.replace("margin: 0.1", "margin: .nan"), "margin: nan: should be 0 or more"),
        (ROWS, "{claim: Words., at_least: {test/acc: 0.9}}", "acc: 0.9: should be in percent"),
        (ROWS, CLAIM.replace("loss, margin: 0.1", "test/acc, margin: 0.02"),
         "margin: 0.02: of test/acc should be in points of percent, 0.05 or more: 2 for 0.02"),
        (ROWS, CLAIM.replace("metric", "metrik"), "metrik: no such key; did you mean metric?"),
        (ROWS, CLAIM.replace("higher: {lr: 0.2}, ", ""), "should have one comparison"),
        (ROWS, CLAIM.replace("{claim", "{direction: up, claim"), "should be max or min"),
        (ROWS + "0,0.1,3\n", CLAIM, "lr=0.1: lines 2 and 8 are both of seed 0; name in where what "
         "tells them apart: loss"),
        (ROWS.replace("0.2\n", "none at all\n"), CLAIM, "line 3: loss: 'none at all': is no num"),
        (ROWS.replace("seed", "draw"), CLAIM, "no column is called seed; --seed COLUMN names it"),
        (ROWS.replace("seed,lr", "a.seed,b.seed"), CLAIM, "names it: a.seed or b.seed?"),
        (ROWS + "x,0.1,3\n", CLAIM, "line 8: seed 'x': is no whole number"),
        (ROWS + "--5,0.1,3\n", CLAIM, "line 8: seed '--5': is no whole number"),
        (ROWS + "1,2\n", CLAIM, "line 8: should have 3 fields, as the header has"),
        (HEAD, CLAIM, "holds no run"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_one_line(rows, claim, message, tmp_path, capsys):
    (tmp_path / "rows.csv").write_text(rows)
    (tmp_path / "claims.yaml").write_text(f"mine: {claim}\n")
    arguments = ["--rows", str(tmp_path / "rows.csv"), "--claims", str(tmp_path / "claims.yaml")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
