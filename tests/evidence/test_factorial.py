"""Effects of a factorial: against statsmodels, and in cases whose answer is known."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
import pytest

from fmnist.evidence.factorial import factorial, factorial_effects
from tests.conftest import Later

formulas = Later("statsmodels.formula.api")
mixed = Later("statsmodels.regression.mixed_linear_model")
anova = Later("statsmodels.stats.anova")

LEVELS = {
    "activation": ["sigmoid", "tanh", "relu"],
    "pooling": ["avg", "max"],
    "aug": ["off", "on"],
}
GRID = list(product(*LEVELS.values()))


def drawn(seeds: int, spread: float = 0.2) -> dict[tuple[int, tuple[str, ...]], float]:
    """Activation adds 0, 1, 2; max-pooling 0.5; and 1 more where it meets ReLU."""
    rng = np.random.default_rng(seeds)
    values = {}
    for seed in range(seeds):
        luck = rng.normal(0, 0.5)
        for cell in GRID:
            mean = 90 + LEVELS["activation"].index(cell[0]) + 0.5 * (cell[1] == "max")
            mean += 1.0 * (cell[:2] == ("relu", "max"))
            values[seed, cell] = mean + luck + rng.normal(0, spread)
    return values


def frame(values):
    return pd.DataFrame([{"seed": s, "y": y, **dict(zip(LEVELS, cell, strict=True))}
                         for (s, cell), y in values.items()])  # fmt: skip


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_f_and_p_are_those_of_statsmodels_repeated_measures(seeds):
    values = drawn(seeds)
    table = anova.AnovaRM(frame(values), "y", "seed", within=list(LEVELS)).fit().anova_table
    for effect in factorial_effects(values, LEVELS):
        row = table.loc[":".join(effect.factors)]
        assert effect.f == pytest.approx(row["F Value"])
        assert effect.p == pytest.approx(row["Pr > F"])
        assert effect.freedom == (row["Num DF"], row["Den DF"])


def test_means_are_those_of_the_mixed_model_with_a_random_seed():
    values = drawn(5)
    formula = "y ~ C(activation, Sum) * C(pooling, Sum) * C(aug, Sum)"
    data = frame(values)
    fitted = mixed.MixedLM.from_formula(formula, data, groups=data["seed"]).fit()
    pooling = next(e for e in factorial_effects(values, LEVELS) if e.factors == ("pooling",))
    by_level = {effect.levels[0]: effect.mean for effect in pooling.levels}
    assert fitted.params["C(pooling, Sum)[S.avg]"] == pytest.approx(by_level["avg"], abs=1e-6)


def test_a_pair_shows_what_it_adds_beyond_its_levels():
    effects = {e.factors: e for e in factorial_effects(drawn(5, spread=0.0), LEVELS)}
    assert list(effects)[:3] == [("activation",), ("pooling",), ("aug",)]
    assert len(effects) == 6
    pairs = {e.levels: e.mean for e in effects["activation", "pooling"].levels}
    # 1 where ReLU meets max-pooling: its mean over rows, columns and all taken off.
    assert pairs["relu", "max"] == pytest.approx(1 - 1 / 2 - 1 / 3 + 1 / 6)
    assert sum(pairs.values()) == pytest.approx(0, abs=1e-9)
    assert all(e.mean == pytest.approx(0, abs=1e-9) for e in effects["aug",].levels)


def test_a_lucky_seed_counts_once():
    """Seeds that differ in every combination alike say nothing of the factors."""
    values = drawn(3)
    shifted = {(s, cell): y + 10 * s for (s, cell), y in values.items()}
    for before, after in zip(
        factorial_effects(values, LEVELS), factorial_effects(shifted, LEVELS), strict=True
    ):
        assert after.p == pytest.approx(before.p)


def test_one_seed_of_two_factors_leaves_nothing_to_test_with():
    two = {name: LEVELS[name] for name in ("activation", "pooling")}
    values = {(0, cell[:2]): y for (_, cell), y in drawn(1).items() if cell[2] == "on"}
    for effect in factorial_effects(values, two):
        assert math.isnan(effect.p)
        assert all(math.isnan(level.half_width) for level in effect.levels)


def test_a_missing_cell_is_said():
    values = drawn(2)
    del values[1, GRID[0]]
    with pytest.raises(ValueError, match="1 of 24 combinations are missing"):
        factorial_effects(values, LEVELS)


def test_one_seed_is_least_squares_with_the_higher_interactions_as_error():
    values = drawn(1)
    formula = "y ~ (C(activation, Sum) + C(pooling, Sum) + C(aug, Sum)) ** 2"
    fitted = formulas.ols(formula, frame(values)).fit()
    table = anova.anova_lm(fitted, typ=2)
    names = {name: f"C({name}, Sum)" for name in LEVELS}
    for effect in factorial_effects(values, LEVELS):
        row = table.loc[":".join(names[factor] for factor in effect.factors)]
        assert (effect.f, effect.p) == pytest.approx((row["F"], row["PR(>F)"]))
        assert effect.freedom == (row["df"], fitted.df_resid)
    (first, *_) = (e for e in factorial_effects(values, LEVELS) if e.factors == ("pooling",))
    low, high = fitted.conf_int().loc["C(pooling, Sum)[S.avg]"]
    assert first.levels[0].half_width == pytest.approx((high - low) / 2)


@dataclass
class Setting:
    levels: dict[str, str]
    accuracies: dict[int, float]

    def values(self, metric: str) -> dict[int, float]:
        return self.accuracies


def test_half_a_factorial_is_answered_in_a_line_and_a_stray_seed_left_out():
    values = drawn(2)
    settings = [Setting(dict(zip(LEVELS, cell, strict=True)), {s: values[s, cell] for s in (0, 1)})
             for cell in GRID]  # fmt: skip
    whole = factorial(LEVELS, settings)
    assert (whole.seeds, whole.combinations, len(whole.effects)) == (2, 12, 6)
    del settings[0].accuracies[1]
    assert factorial(LEVELS, settings).seeds == 1
    del settings[3].accuracies[0]
    assert factorial(LEVELS, settings).startswith(
        "11 of 12 combinations have a run with the same seed"
    )
    assert factorial({"aug": ["off", "on"]}, settings).startswith("one factor")
