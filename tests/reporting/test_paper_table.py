"""Tables for a paper: numbers, bold by the rules, LaTeX that compiles as text."""

import numpy as np
import pytest

from fmnist.errors import RunError
from fmnist.reporting.paper_table import not_beaten, paper_table, tex, to_csv, to_latex, to_markdown
from fmnist.results import main
from fmnist.runs.rows import Row
from tests.conftest import CHECKOUT


def rows(accuracies, study="s2_activation", **more):
    """Of `{activation: accuracies in percent}`, a seed each."""
    facts = {"study": study, "experiment": "s2_base", "started": "", "git_commit": ""}
    return [
        Row(facts | {"seed": str(seed), "status": "finished" if acc else "failed",
                     "config_hash": f"{level} {seed} {more}"},
            {"model.activation": level, "model": "lenet5", "data.name": "FashionMNIST"} | more,
            {"test/acc": acc / 100, "params": 61706.0} if acc else {})
        for level, series in accuracies.items() for seed, acc in enumerate(series)
    ]  # fmt: skip


CLOSE = {
    "sigmoid": (76.0, 76.2, 75.9, 76.3),
    "tanh": (89.4, 89.6, 89.5, 89.7),
    "relu": (89.5, 89.7, 89.4, 89.8),
}


def test_bold_is_what_no_other_is_shown_to_beat():
    table = paper_table(rows(CLOSE), ["test/acc", "params"])
    assert list(table.lines) == [("sigmoid",), ("tanh",), ("relu",)]  # as the study has them
    assert table.best["test/acc"] == {("tanh",), ("relu",)}
    assert not table.best["params"]
    assert "bold" not in paper_table(rows(CLOSE), ["params"]).caption()
    page = to_markdown(table)
    assert "| relu | 4 | **89.60 ± 0.29** | 61,706 |" in page
    assert "| sigmoid | 4 | 76.10 ± 0.29 | 61,706 |" in page
    assert "on these 10,000 test images and this split." in page


def test_a_loss_is_not_rounded_to_images_before_it_is_compared():
    low, high = (0.0040, 0.0041, 0.0042), (0.0050, 0.0051, 0.0052)
    some = rows({"tanh": (89, 90, 91), "relu": (89, 90, 91)})
    for row, loss in zip(some, low + high, strict=True):
        row.metrics["val/loss_setback"] = loss
    assert paper_table(some, ["val/loss_setback"]).best["val/loss_setback"] == {("tanh",)}


def test_the_best_one_is_bold_in_95_of_100_tables():
    rng = np.random.default_rng(0)
    missed = 0
    for _ in range(400):
        values = {(f"{k}",): dict(enumerate(rng.normal(90, 0.3 + 0.1 * k, 5))) for k in range(6)}
        missed += ("0",) not in not_beaten(["x"], values, "test/acc", 0.01)
    assert missed <= 31  # 5 % of 400, and 2.5 deviations


def test_two_seeds_make_nothing_bold_and_a_failed_run_counts_as_chance():
    few = paper_table(rows({"tanh": (89, 90), "relu": (70, 71)}), ["test/acc"])
    assert not few.best["test/acc"]
    assert "Nothing is bold: fewer than 3 seeds" in few.caption()
    table = paper_table(rows(CLOSE | {"relu": (89.5, 0, 89.4, 89.8)}), ["test/acc"])
    assert table.lines["relu",]["test/acc"].mean == pytest.approx((89.5 + 10 + 89.4 + 89.8) / 4)
    assert "| relu | 4 (1 failed) |" in to_markdown(table)
    assert "Failed runs count as chance" in table.caption()


def test_failed_runs_are_left_out_of_what_is_no_accuracy_and_the_caption_says_so():
    study = rows(CLOSE | {"relu": (89.5, 0, 89.4, 89.8)})
    for row in study:
        row.metrics.update({"test/loss": 0.3} if row.finished else {})
    table = paper_table(study, ["test/acc", "test/loss"])
    assert [table.lines["relu",][metric].n for metric in table.metrics] == [4, 3]
    words = "Failed runs count as chance accuracy in test/acc and are left out of test/loss."
    assert words in table.caption()
    assert "Failed runs are left out." in paper_table(study, ["test/loss"]).caption()


def test_a_setting_without_a_finished_run_has_empty_cells():
    study = rows(CLOSE | {"relu": (0, 0, 0, 0)})
    for row in study:
        row.metrics.update({"train_seconds": 30.0 + row.seed} if row.finished else {})
    table = paper_table(study, ["test/acc", "train_seconds"])
    assert "| relu | 4 (4 failed) | 10.00 ± 0.00 | – |" in to_markdown(table)  # noqa: RUF001
    assert r"relu & 4 (4 failed) & $10.00 \pm 0.00$ & -- \\" in to_latex(table)
    line = next(line for line in to_csv(table).splitlines() if line.startswith("relu"))
    assert line.startswith("relu,4,4,10.0,")
    assert line.endswith(",false,,,,")


def test_a_study_of_one_setting_compares_nothing():
    table = paper_table(rows({"tanh": (89.4, 89.6, 89.5)}), ["test/acc"])
    assert not table.best["test/acc"]
    assert "bold" not in table.caption().lower()


def test_levels_are_averaged_over_the_others_within_every_seed():
    both = [*rows({"tanh": (80, 81), "relu": (90, 91)}, **{"model.pooling": "max"}),
            *rows({"tanh": (82, 83), "relu": (94, 95)}, **{"model.pooling": "avg"})]  # fmt: skip
    for row in both:
        row.facts["study"] = "s2_factorial"
    table = paper_table(both, ["test/acc"], by=["model.activation"])
    means = {key: line["test/acc"].mean for key, line in table.lines.items()}
    assert means == pytest.approx({("tanh",): 81.5, ("relu",): 92.5})
    assert "averaged over model.pooling" in table.caption()
    with pytest.raises(RunError, match=r"--by pooling: no factor .* did you mean model.pooling"):
        paper_table(both, ["test/acc"], by=["pooling"])
    with pytest.raises(RunError, match="--metric test/ac: no run has it; did you mean test/acc"):
        paper_table(both, ["test/ac"])


def test_readings_beside_the_studys_own_factors_are_lines_of_their_own():
    ours = {"aug": "on", "aug.flip": "0.5", "optim.lr": "0.01"}
    readings = [ours, ours | {"optim.lr": "0.05"}, ours | {"aug": "small", "aug.flip": "0"}]
    accuracies = [(80, 81), (90, 91), (85, 86)]
    study = [row for reading, some in zip(readings, accuracies, strict=True)
             for row in rows({"tanh": some, "relu": some}, **reading)]  # fmt: skip
    table = paper_table(study, ["test/acc"])
    assert table.names == ("model.activation", "aug", "optim.lr")
    means = {key: line["test/acc"].mean for key, line in table.lines.items()}
    assert {key[1:]: mean for key, mean in means.items() if key[0] == "relu"} == pytest.approx(
        {("on", "0.01"): 80.5, ("on", "0.05"): 90.5, ("small", "0.01"): 85.5}
    )


def test_latex_is_escaped_and_has_a_cell_for_every_column():
    page = to_latex(paper_table(rows(CLOSE, study="a_b"), ["test/acc", "params"]))
    body = page.partition(r"\midrule")[2].partition(r"\bottomrule")[0].strip().splitlines()
    assert [line.count(" & ") for line in body] == [3, 3, 3]
    assert all(line.endswith(r"\\") for line in body)
    assert r"relu & 4 & $\mathbf{89.60 \pm 0.29}$ & $61{,}706$ \\" in page
    assert r"\caption{a\_b: mean over 4 seeds and 95 \% t interval." in page
    assert r"\label{tab:a-b}" in page
    assert tex(r"50%_$\x^{~}#&") == (
        r"50\%\_\$\textbackslash{}x\textasciicircum{}\{\textasciitilde{}\}\#\&"
    )


def test_the_command_prints_committed_studies(capsys):
    folder = ["--results", str(CHECKOUT / "results")]
    assert main(["table", "s2_activation", "--csv", *folder]) == 0
    out = capsys.readouterr().out
    head = "model.activation,seeds,failed,test/acc,test/acc_low,test/acc_high,test/acc_best"
    assert out.splitlines()[0] == head
    assert out.splitlines()[1].endswith(",false")
    assert main(["table", "s2_activations", *folder]) == 2
    assert "no such study; did you mean s2_activation?" in capsys.readouterr().err
    assert to_csv(paper_table(rows(CLOSE), ["test/acc"])).count("true") == 2
