"""The report's numbers against independent computations: scikit-learn, scipy, statsmodels, hand."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from fmnist.evidence.effects import Comparison
from fmnist.evidence.images import mcnemar
from fmnist.evidence.statistics import summarize, wilson_interval
from fmnist.models.lenet5 import LeNet5
from fmnist.reporting.convergence import convergence_of
from fmnist.reporting.effects import (
    averaged_over,
    compare_levels,
    factor_sentence,
    interactions,
    level_means,
    pareto_front,
)  # fmt: skip
from fmnist.reporting.gallery import confident_errors, pair_errors, typical
from fmnist.reporting.gradcam import grad_cam
from fmnist.reporting.sweep_figures import UNMATCHED, main_effect, model_bars, two_factors
from fmnist.reporting.table import Entry, SweepSetting
from fmnist.runs.evaluation import BINS, Evaluation, evaluate_predictions
from fmnist.runs.record import Resumption
from fmnist.runs.run import Run
from tests.conftest import Later
from tests.records import FACTS, a_record

metrics = Later("sklearn.metrics")
contingency_tables = Later("statsmodels.stats.contingency_tables")
multitest = Later("statsmodels.stats.multitest")

CLASSES = [f"class {k}" for k in range(10)]


@pytest.fixture(scope="module")
def predictions() -> tuple[np.ndarray, np.ndarray]:
    """Logits of a net that is right two times in three, and unbalanced labels."""
    random = np.random.default_rng(0)
    labels = random.choice(10, 800, p=np.arange(1, 11) / 55)
    logits = random.normal(size=(800, 10)) + 2.2 * np.eye(10)[labels]
    return logits.astype(np.float32), labels


@pytest.fixture(scope="module")
def evaluation(predictions: tuple[np.ndarray, np.ndarray]) -> Evaluation:
    return evaluate_predictions(*predictions, CLASSES)


def test_class_scores_are_those_of_scikit_learn(
    evaluation: Evaluation, predictions: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, labels = predictions
    predicted = logits.argmax(1)
    expected = metrics.precision_recall_fscore_support(labels, predicted)
    ours = (evaluation.precision, evaluation.recall, evaluation.f1, evaluation.support)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)
    for average in ("macro", "micro"):
        theirs = metrics.precision_recall_fscore_support(labels, predicted, average=average)[:3]
        np.testing.assert_allclose(getattr(evaluation, average), theirs, rtol=1e-6)
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(labels, predicted))


def test_curves_and_their_areas_are_those_of_scikit_learn(
    evaluation: Evaluation, predictions: tuple[np.ndarray, np.ndarray]
) -> None:
    logits, labels = predictions
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(1, keepdims=True)
    for k in range(10):
        hit, score = labels == k, probabilities[:, k]
        assert evaluation.roc[k].area == pytest.approx(metrics.roc_auc_score(hit, score), rel=1e-5)
        area = metrics.average_precision_score(hit, score)
        assert evaluation.pr[k].area == pytest.approx(area, rel=1e-5)
        x, y, _ = metrics.roc_curve(hit, score, drop_intermediate=False)
        np.testing.assert_allclose(evaluation.roc[k].x, x, atol=1e-6)
        np.testing.assert_allclose(evaluation.roc[k].y, y, atol=1e-6)


def test_ece_is_the_mean_gap_of_the_bins_shown(evaluation: Evaluation) -> None:
    confidence = evaluation.probabilities.max(1)
    bins = np.ceil(confidence * BINS).astype(int)
    gaps = [
        abs(confidence[bins == b].mean() - evaluation.correct[bins == b].mean()) * (bins == b).sum()
        for b in np.unique(bins)
    ]
    assert evaluation.ece == pytest.approx(sum(gaps) / len(confidence), abs=1e-6)
    shown = np.abs(evaluation.bin_confidence - evaluation.bin_accuracy) * evaluation.bin_count
    assert np.nansum(shown) / len(confidence) == pytest.approx(evaluation.ece, abs=1e-6)
    assert evaluation.bin_count.sum() == 800


def test_what_is_certain_in_float32_counts_in_the_last_bin_that_is_shown() -> None:
    """Nets may be too sure there, and not sure enough just below it."""
    logits, labels = np.zeros((40, 2), "f4"), np.zeros(40, int)
    logits[:20, 0], logits[20:, 0] = 3, 40
    labels[-2:] = 1
    result = evaluate_predictions(logits, labels, ["one", "other"])
    assert result.bin_count[-1] == 40
    confidence = (1 / (1 + math.exp(-3)) + 1) / 2
    assert result.ece == pytest.approx(confidence - 38 / 40, abs=1e-6)


def test_a_class_without_images_has_no_area() -> None:
    random = np.random.default_rng(1)
    labels = np.repeat(np.arange(9), 20)
    result = evaluate_predictions(random.normal(size=(180, 10)).astype("f4"), labels, CLASSES)
    assert math.isnan(result.roc[9].area)
    assert math.isnan(result.pr[9].area)
    assert not math.isnan(result.roc[8].area)


@pytest.mark.parametrize("damage", ["shape", "nan", "label"])
def test_damaged_predictions_are_refused(damage: str) -> None:
    logits, labels = np.zeros((20, 10), np.float32), np.arange(20) % 10
    if damage == "shape":
        logits = logits[:, :9]
    elif damage == "nan":
        logits[3, 3] = np.nan
    else:
        labels[5] = 10
    with pytest.raises(ValueError, match="logits"):
        evaluate_predictions(logits, labels, CLASSES)


@pytest.mark.parametrize(("correct", "total"), [(8842, 10_000), (0, 20), (20, 20), (3, 7)])
def test_the_interval_of_an_accuracy_is_wilsons(correct: int, total: int) -> None:
    wanted = stats.binomtest(correct, total).proportion_ci(0.95, method="wilson")
    assert wilson_interval(correct, total) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_galleries_show_the_images_that_they_name(evaluation: Evaluation) -> None:
    errors = confident_errors(evaluation, 12)
    confidence = evaluation.probabilities.max(1)
    assert not evaluation.correct[errors].any()
    assert confidence[errors].tolist() == sorted(confidence[errors], reverse=True)
    assert confidence[errors].min() >= np.sort(confidence[~evaluation.correct])[-12]
    i, j, count = evaluation.confused_pairs()[0]
    both = evaluation.confusion + evaluation.confusion.T
    assert count == (both - np.diag(np.diag(both))).max()
    for index in pair_errors(evaluation, i, j):
        assert {evaluation.labels[index], evaluation.predicted[index]} == {i, j}
    assert evaluation.labels[typical(evaluation)].tolist() == np.repeat(np.arange(10), 2).tolist()


class Linear(nn.Module):
    """One convolution, global average pooling and a linear layer: Grad-CAM by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Linear(3, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = self.relu(self.conv(x))
        return self.head(maps.mean((2, 3)))


def test_grad_cam_by_hand() -> None:
    torch.manual_seed(0)
    net, images, classes = Linear().eval(), torch.randn(4, 1, 28, 28), torch.tensor([1, 2, 3, 4])
    cam = grad_cam(net, images, classes)
    assert cam is not None
    with torch.no_grad():
        maps = net.conv(images)  # [4, 3, 28, 28]
        # d logit / d map = weight / 784 where the ReLU lets it through
        through = (maps > 0).float().mean((2, 3))
        weights = net.head.weight[classes] * through
        expected = (weights[:, :, None, None] * maps).sum(1).relu()
        expected /= expected.amax((1, 2), keepdim=True).clamp(min=1e-30)
    torch.testing.assert_close(cam, expected, rtol=1e-4, atol=1e-5)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_grad_cam_of_nets_with_and_without_convolutions() -> None:
    cam = grad_cam(LeNet5().eval(), torch.randn(2, 1, 28, 28), torch.tensor([0, 9]))
    assert cam is not None
    assert cam.shape == (2, 28, 28)
    assert cam.min() >= 0
    assert cam.max() <= 1
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    assert grad_cam(flat, torch.randn(2, 1, 28, 28), torch.tensor([0, 9])) is None


def settings(
    effects: dict[tuple[str, str], float], seeds: int = 5, noise: float = 0.1
) -> list[SweepSetting]:
    """A sweep of two factors with known means in percent."""
    random = np.random.default_rng(3)
    made = []
    for (a, b), mean in effects.items():
        rows = {}
        for seed in range(seeds):
            value = (mean + noise * random.normal()) / 100
            record = a_record(
                metrics={"test/acc": value, "val/acc": value}, seed=seed,
                dataset=replace(FACTS, test_size=10_000, val_size=5_000),
            )  # fmt: skip
            rows[seed] = Entry(f"{a}{b}{seed}", "finished", run=Run(Path(), record))
        made.append(SweepSetting({"net": a, "optim": b}, rows))
    return made


FACTORS = {"net": ["small", "large"], "optim": ["sgd", "adam"]}
ADDITIVE = {
    ("small", "sgd"): 80.0, ("small", "adam"): 80.0,
    ("large", "sgd"): 83.0, ("large", "adam"): 83.0,
}  # fmt: skip


def test_levels_are_compared_over_seeds_with_welchs_t_test() -> None:
    made = settings(ADDITIVE)
    by_factor = compare_levels(made, FACTORS)
    net, optim = by_factor["net"][0], by_factor["optim"][0]
    values = {
        tuple(one.levels.values()): np.array(list(one.values("test/acc").values())) for one in made
    }
    small = (values["small", "sgd"] + values["small", "adam"]) / 2
    large = (values["large", "sgd"] + values["large", "adam"]) / 2
    expected = stats.ttest_ind(small, large, equal_var=False)
    corrected = multitest.multipletests([expected.pvalue, 1], method="bonferroni")[1]
    assert net.p == pytest.approx(corrected[0], rel=1e-6)
    low, high = expected.confidence_interval(1 - 0.05 / 2)
    assert (net.low, net.high) == pytest.approx((low, high))
    assert net.difference.n == 5
    assert optim.p > 0.05
    words = factor_sentence("net", by_factor["net"], ["optim"])
    assert "large beats small by" in words
    assert "no difference may be concluded between sgd and adam" in factor_sentence(
        "optim", by_factor["optim"], ["net"]
    )


def test_a_sentence_names_the_three_largest_differences_and_counts_the_others() -> None:
    sizes = (0.5, -3.0, 1.0, 2.0, -0.7)
    made = [
        Comparison(f"a{i}", f"b{i}", summarize([size - 0.1, size, size + 0.1]))
        for i, size in enumerate(sizes)
    ]
    words = factor_sentence("net", made, [])
    said = [
        words.index(text) for text in ("b1 beats a1 by 3.00", "a3 beats b3 by 2.00", "a2 beats")
    ]
    assert said == sorted(said)
    assert "and a difference in 2 more pairs of its levels (table below); this holds" in words
    assert "a0" not in words
    assert "more pair" not in factor_sentence("net", made[:3], [])


def test_two_seeds_conclude_nothing_and_do_not_hide_what_more_show() -> None:
    two = compare_levels(settings(ADDITIVE, seeds=2, noise=0.001), FACTORS)["net"]
    assert two[0].significant
    assert factor_sentence("net", two, []).startswith("net: 2 seeds only, so nothing may be")
    more = Comparison("a", "b", summarize([2.9, 3.0, 3.1]))
    words = factor_sentence("net", [more, *two], [])
    assert "it may be concluded that a beats b by 3.00 points" in words
    assert (
        "nothing may be concluded of 1 pair of its levels (table below) with fewer than 3" in words
    )
    assert "this holds for 3 matched seeds" in words


def test_one_seed_concludes_nothing() -> None:
    comparisons = compare_levels(settings(ADDITIVE, seeds=1), FACTORS)["net"]
    assert math.isnan(comparisons[0].p)
    assert "nothing may be concluded" in factor_sentence("net", comparisons, ["optim"])
    assert math.isnan(summarize([80.0]).low)


def test_an_interaction_is_found_where_there_is_one() -> None:
    (absent,) = interactions(settings(ADDITIVE), FACTORS)
    (there,) = interactions(settings(ADDITIVE | {("large", "adam"): 86.0}), FACTORS)
    assert not absent.contrast.significant
    assert there.contrast.significant
    words = factor_sentence("net", [there.contrast], ["optim"], [("optim", 3.0)])
    assert "its effect changes with optim by 3.00 points" in words
    assert there.contrast.difference.mean == pytest.approx(3, abs=0.3)


def test_level_means_use_only_what_all_levels_have() -> None:
    made = settings(ADDITIVE | {("small", "adam"): 90.0}, noise=0.0)
    made = [one for one in made if one.levels != {"net": "large", "optim": "adam"}]
    found = level_means(made[::-1], ["net"], FACTORS)
    assert found.matched
    assert list(found.means) == [("small",), ("large",)]  # in the order of the levels
    # small has adam and large has not: the difference must not be that of the optimiser
    assert found.means["small",].mean == pytest.approx(80)
    assert found.means["large",].mean == pytest.approx(83)
    # ... and nobody may think that it was averaged over it.
    assert found.alone == ["optim=sgd"]
    assert "Mean at optim=sgd alone" in main_effect("net", found).caption
    averaged, alone = averaged_over(made, "net")
    assert (averaged, alone) == ([], ["optim=sgd"])
    words = factor_sentence("net", compare_levels(made, FACTORS)["net"], averaged, alone=alone)
    assert "settings, at optim=sgd alone, and says nothing" in words
    assert averaged_over(settings(ADDITIVE), "net") == (["optim"], [])


def test_seconds_of_a_run_that_moved_to_another_machine_are_none_in_a_report() -> None:
    there = Resumption("2026-01-01T00:00:00+00:00", 1, device="cpu (another)", threads=1)
    records = [a_record(seed=0), a_record(seed=1, train_seconds=99.0, resumed=[there])]
    rows = {r.seed: Entry(str(r.seed), "finished", run=Run(Path(), r)) for r in records}
    setting = SweepSetting({}, rows)
    assert setting.mean("train_seconds") == 10
    assert setting.mean("params") == 100
    assert convergence_of(setting, 0.5).seconds.n == 1
    assert convergence_of(setting, 0.5).epochs.n == 2
    assert math.isnan(SweepSetting({}, {1: rows[1]}).mean("train_seconds"))


def test_one_image_of_those_that_were_tested_is_what_equal_seeds_may_differ_by() -> None:
    made = settings(ADDITIVE, noise=0.0)
    for one in made:
        for row in one.rows.values():
            row.run.record = replace(row.record, dataset=FACTS)  # of 20 test images
    assert made[0].resolution("test/acc") == 5
    (net,) = compare_levels(made, FACTORS)["net"]
    assert net.difference.error > 0.5
    row = made[0].rows[0]
    for data, resolution in (
        (replace(FACTS, val_size=50), 2), (replace(FACTS, val_size=0), 100),
        (replace(FACTS, val_size=50, select_on="test"), 5),  # whose validation is the test set
    ):  # fmt: skip
        row.run.record = replace(row.record, dataset=data)
        assert replace(made[0], rows={0: row}).resolution("val/acc") == resolution


def test_captions_compare_no_means_over_different_other_settings() -> None:
    made = settings({("small", "sgd"): 80.0, ("large", "adam"): 90.0}, noise=0.0)
    found = level_means(made, ["net"], FACTORS)
    assert not found.matched
    charts = [main_effect("net", found), model_bars("net", found)]
    third = settings({("small", "sgd"): 85.0, ("large", "sgd"): 86.0}, noise=0.0)
    factors = FACTORS | {"lr": ["0.1", "0.2"]}
    apart = [
        SweepSetting(one.levels | {"lr": lr}, one.rows)
        for lr, some in (("0.1", made), ("0.2", third))
        for one in some
    ]
    charts += two_factors(apart, ("net", "optim"), factors)
    assert {chart.caption for chart in charts} == {UNMATCHED}
    whole = level_means(settings(ADDITIVE, noise=0.0), ["net"], FACTORS)
    assert main_effect("net", whole).caption.startswith("Highest: large, 83.00 %.")


def test_mcnemar_is_that_of_statsmodels() -> None:
    random = np.random.default_rng(4)
    first, second = random.random(500) < 0.9, random.random(500) < 0.85
    ours = mcnemar(first, second)
    table = [[ours.both, ours.only_first], [ours.only_second, ours.neither]]
    assert ours.p == pytest.approx(contingency_tables.mcnemar(table, exact=True).pvalue)
    assert sum(map(sum, table)) == 500
    assert mcnemar(first, first).p == 1.0


def test_the_pareto_front_is_what_nothing_beats() -> None:
    points = [(3.0, 90.0), (1.0, 80.0), (2.0, 79.0), (3.0, 91.0), (5.0, 91.0), (9.0, 95.0)]
    front = pareto_front(points)
    assert front == [1, 3, 5]
    for index in range(len(points)):
        cost, accuracy = points[index]
        beaten = any(c <= cost and a >= accuracy and (c, a) != (cost, accuracy) for c, a in points)
        assert (index in front) != beaten
