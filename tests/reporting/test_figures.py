"""Pictures that read at a glance: titles, names, one epoch, and intervals that are possible."""

from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg

from fmnist.evidence.statistics import summarize
from fmnist.evidence.text import mean_words
from fmnist.reporting.charts import INK, MUTED, SERIES, STYLE, draw_all
from fmnist.reporting.convergence import convergence_curves, convergence_of
from fmnist.reporting.effects import LevelMeans
from fmnist.reporting.gallery import Sample, data_url, gallery_figure
from fmnist.reporting.run_figures import (
    class_scores,
    comparison_curves,
    confusion_matrices,
    reliability,
    roc_and_pr,
    training_curves,
)
from fmnist.reporting.sweep_figures import (
    _heatmap,
    bounded_errors,
    cost_and_accuracy,
    main_effect,
    model_bars,
    parallel_coordinates,
    two_factors,
)
from fmnist.reporting.table import SweepSetting, Table, read_table
from fmnist.reporting.titles import title_of
from fmnist.runs.evaluation import evaluate_predictions
from tests.records import CONFIG, FACTS, a_record, an_epoch, put_record
from tests.reporting.test_report_numbers import settings


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Two levels of each of two factors, one epoch, three seeds."""
    for pooling in ("avg", "max"):
        for dropout in ("0", "0.5"):
            for seed in range(3):
                accuracy = 0.7 + 0.1 * (pooling == "max") + 0.05 * (dropout == "0") + seed / 200
                levels = [f"model.pooling={pooling}", f"model.dropout={dropout}"]
                model = {"_target_": "fmnist.models.lenet5.LeNet5", "pooling": pooling}
                model["dropout"] = dropout
                config = CONFIG | {"model": model, "trainer": {"max_epochs": 1}}
                record = a_record(
                    epochs=[an_epoch(0, accuracy)], overrides=[*levels, f"seed={seed}"], seed=seed,
                    config=config, metrics=dict.fromkeys(a_record().metrics, accuracy),
                    train_seconds=10.0 + 5 * (pooling == "max"),
                )  # fmt: skip
                put_record(tmp_path / "multirun" / f"{pooling}{dropout}-{seed}", record)
    return read_table([tmp_path / "multirun"])


def test_the_title_says_data_net_what_varies_how_long_and_how_many_seeds(table: Table) -> None:
    words = f"{FACTS.name} · LeNet5 · pooling × dropout · 1 epoch · 3 seeds"  # noqa: RUF001
    records = [row.record for row in table.rows]
    assert title_of(records, list(table.factors)) == words
    assert title_of(records[:1], []) == f"{FACTS.name} · LeNet5 · 1 epoch · seed 0"
    assert title_of([], []) == ""


def test_what_trained_one_epoch_has_bars_and_dots_not_curves_of_one_point(table: Table) -> None:
    first, last = table.rows[0].record, table.rows[-1].record
    with rc_context(STYLE):
        charts = [*training_curves(first), *comparison_curves(first, last, ("best", "worst"))]
        found = [convergence_of(one, 0.5) for one in table.settings]
        dots = convergence_curves(found, 0.5)
    assert [len(chart.figure.axes[0].patches) for chart in charts] == [2, 2, 4, 4]
    for chart in charts:  # a caption has the digits of its bars, whose numbers do not touch them
        (axes,) = chart.figure.axes
        assert all(f" {text.get_text()}" in chart.caption for text in axes.texts)
        assert len(axes.texts) == len(axes.patches)
        texts = [text.get_window_extent().x0 for text in axes.texts]
        ends = [bar.get_window_extent().x1 for bar in axes.patches]
        assert all(text > end + 3 for text, end in zip(texts, ends, strict=True))
    assert "after one epoch" in dots.title
    assert dots.caption.startswith("Means over seeds. Highest: max, 0, 85.50 %")


def test_several_validations_an_epoch_all_lie_on_the_axis() -> None:
    epochs = [an_epoch(number // 4, 0.5 + number / 20) for number in range(8)]
    record = a_record(epochs=epochs)
    with rc_context(STYLE):
        chart = comparison_curves(record, record, ("best", "worst"))[0]
    (axes,) = chart.figure.axes
    places = np.concatenate([line.get_xdata() for line in axes.lines])
    assert (places.min(), places.max()) == (0.25, 2.0)
    assert axes.get_xlim()[0] < 0.25


def test_points_of_the_front_bear_their_names(table: Table) -> None:
    with rc_context(STYLE):
        chart = cost_and_accuracy(table.settings, "train_seconds", "s", "Accuracy and time")
    named = [text.get_text() for text in chart.figure.axes[0].texts]
    assert named == [one.label for one in table.settings]
    assert named == ["avg, 0", "avg, 0.5", "max, 0", "max, 0.5"]


def test_several_numbers_bear_the_names_of_their_settings_and_points_what_differs() -> None:
    fixed = {"optim.lr": "0.01", "optim": "adam", "data.batch_size": "64"}
    made = [SweepSetting(fixed | {"data.batch_size": size}, one.rows)
            for size, one in zip(("64", "128"), settings({("a", "x"): 80.0, ("b", "x"): 90.0}),
                                 strict=True)]  # fmt: skip
    assert made[0].label == "lr=0.01, adam, batch_size=64"
    assert SweepSetting({"optim.lr": "0.01", "optim": "adam"}, {}).label == "0.01, adam"
    with rc_context(STYLE):
        chart = cost_and_accuracy(made, "train_seconds", "s", "Accuracy and time")
    assert [text.get_text() for text in chart.figure.axes[0].texts] == ["64", "128"]
    assert "lr=0.01, adam, batch_size=128" in chart.caption


def contrast(color: str, ground: str) -> float:
    """Of WCAG 2.1."""

    def luminance(text: str) -> float:
        parts = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(color), luminance(ground)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_parallel_coordinates_have_a_contrast_of_three_on_white_and_on_black(table: Table) -> None:
    with rc_context(STYLE):
        chart = parallel_coordinates(table.finished, table.factors)
    colors = {line.get_color() for line in chart.figure.axes[0].lines}
    assert colors == {SERIES[1], MUTED}
    for color in colors:
        assert contrast(color, "#ffffff") >= 3
    assert contrast("#ff8a3d", "#14181d") >= 3  # what the style sheet makes of them in the dark
    assert contrast("#9aa7b4", "#14181d") >= 3


def test_an_interval_never_leaves_what_is_possible() -> None:
    near = summarize([99.0, 100.0])
    assert near.high > 100
    assert mean_words(near, bounds=(0.0, 100.0)) == "99.50 [93.15, 100.00]"
    assert bounded_errors([near, None])[1].tolist() == [0.5, 0.0]
    epochs = summarize([1.0, 2.0])
    assert mean_words(epochs, bounds=(1.0, float("inf"))) == "1.50 [1.00, 7.85]"
    assert mean_words(summarize([80.0, 81.0]), bounds=(0.0, 100.0)) == "80.50 ± 6.35"


def test_names_of_many_classes_do_not_lie_across_each_other() -> None:
    random, names = np.random.default_rng(0), [f"a class called {k}" for k in range(100)]
    labels = random.integers(0, 100, 2000)
    logits = random.normal(size=(2000, 100)).astype(np.float32) + 2 * np.eye(100)[labels]
    with rc_context(STYLE):
        chart = confusion_matrices(evaluate_predictions(logits, labels, names))[0]
        chart.figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in chart.figure.axes[0].get_xticklabels()]
    assert len(boxes) == 20
    assert not [k for k, (a, b) in enumerate(pairwise(boxes)) if a.overlaps(b)]
    assert chart.dense  # on a phone it keeps its size


def test_long_names_leave_room_for_the_figure() -> None:
    random, names = np.random.default_rng(0), [f"class {k}, {'a shark, ' * 12}" for k in range(70)]
    labels = random.integers(0, 70, 700)
    logits = random.normal(size=(700, 70)).astype(np.float32) + 2 * np.eye(70)[labels]
    found = evaluate_predictions(logits, labels, names)
    means = {(f"{k}{list(range(40))}",): summarize([90.0, 91.0]) for k in range(2)}
    with rc_context(STYLE):
        charts = [confusion_matrices(found)[0], class_scores(found), *roc_and_pr(found),
                  main_effect("model.widths", LevelMeans(means, True, [], []))]  # fmt: skip
        for chart in charts:
            chart.figure.draw_without_rendering()  # warns where there is none
    for chart in charts:
        (axes,) = chart.figure.axes
        legends = [text for legend in chart.figure.legends for text in legend.get_texts()]
        boxes = [t.get_window_extent() for t in (*axes.get_yticklabels(), *legends) if t.get_text()]
        assert min(box.x0 for box in boxes) >= 0
        assert max(box.x1 for box in boxes) <= chart.figure.bbox.x1
    assert "Of the 70 classes the 60 hardest are drawn." in charts[2].caption


def test_no_legend_lies_over_what_it_names() -> None:
    levels = {"net": [*"wxyz"], "optim": [f"an optimiser called {name}" for name in "abcde"]}
    means = {key: 80.0 + place for place, key in enumerate(product(*levels.values()))}
    random, names = np.random.default_rng(0), [*"abcdef"]
    labels = random.integers(0, 6, 500)
    logits = random.normal(size=(500, 6)).astype(np.float32) + 2 * np.eye(6)[labels]
    found = evaluate_predictions(logits, labels, names)
    with rc_context(STYLE):
        charts = [two_factors(settings(means, seeds=1), ("net", "optim"), levels)[1],
                  reliability(found), class_scores(found), *roc_and_pr(found)]  # fmt: skip
        for chart in charts:
            chart.figure.draw_without_rendering()
    for chart in charts:
        (legend,), (axes,) = chart.figure.legends, chart.figure.axes
        assert axes.get_legend() is None
        box = legend.get_window_extent()
        assert box.y0 >= axes.get_window_extent().y1 - 1
        assert box.x1 <= chart.figure.bbox.x1
        assert axes.get_window_extent().height > 150


def test_figures_are_the_same_side_by_side_and_alone(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fmnist.reporting.charts.FEW", 1)

    def drawn(cores: int) -> dict[str, dict[str, bytes]]:
        monkeypatch.setattr("fmnist.reporting.charts.usable_cores", lambda: cores)
        with rc_context(STYLE):
            return draw_all(training_curves(table.rows[0].record))

    alone = drawn(1)
    assert list(alone) == ["loss", "acc"]
    assert drawn(2) == alone
    with rc_context(STYLE):  # in whichever order
        assert training_curves(table.rows[0].record)[0].svg() == alone["loss"]["svg"]


def test_what_a_bar_says_can_be_read_however_short_it_is() -> None:
    means = {("best",): summarize([99.85], 0.01), ("worst",): summarize([60.5], 0.01)}
    with rc_context(STYLE):
        figure = model_bars("model", LevelMeans(means, True, [], [])).figure
        (axes,) = figure.axes
        renderer = FigureCanvasAgg(figure).get_renderer()
        texts = {text.get_text(): text for text in axes.texts}
        best, worst = texts["99.85 % correct"], texts["60.50 % correct"]
        assert worst.get_color() == "#ffffff"
        assert best.get_color() == INK
        bars = sorted(bar.get_width() for bar in axes.patches)
        assert best.get_position()[0] > bars[0]
        edge = axes.get_window_extent(renderer).x1
        assert best.get_window_extent(renderer).x1 < edge


def test_equal_means_have_a_colour_on_which_their_numbers_can_be_read() -> None:
    means = {(a, b): summarize([90.0, 90.0], 0.01) for a in "xy" for b in "pq"}
    with rc_context(STYLE):
        chart = _heatmap("a", "b", {"a": ["x", "y"], "b": ["p", "q"]}, means)
        mesh = chart.figure.axes[0].collections[0]
    assert mesh.get_clim() == (89.5, 90.5)


def test_a_class_without_test_images_has_no_scores() -> None:
    labels = np.array([0, 0, 1, 1])
    logits = np.eye(3, dtype=np.float32)[[0, 1, 1, 1]]
    evaluation = evaluate_predictions(logits, labels, ["shirt", "coat", "bag"])
    with rc_context(STYLE):
        chart = class_scores(evaluation)
        counts = confusion_matrices(evaluation)[1]
    names = [label.get_text() for label in chart.figure.axes[0].get_yticklabels()]
    assert names == ["shirt", "coat"]
    assert "1 of 3 classes has no test images" in chart.caption
    assert "Every row of a class with images sums to 100" in counts.caption


def test_long_names_under_a_picture_stay_beside_the_next_one() -> None:
    picture = data_url(np.zeros((28, 28), np.uint8))
    sample = Sample(0, [picture], "a_very_long_name_of_a_class", "bag", 0.5, 0.5)
    texts = [text.get_text() for text in gallery_figure([sample, sample]).axes[0].texts]
    assert texts == ["bag 0.50\nis a_very_long… 0.50"] * 2
