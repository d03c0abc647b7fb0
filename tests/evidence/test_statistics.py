"""Estimates and p values against scipy.stats, and the verdicts' rules, one by one."""

import math

import numpy as np
import pytest
from scipy import stats

from fmnist.evidence.effects import Comparison, corrected, one_training
from fmnist.evidence.statistics import CENTRAL, contrast, permutation, summarize
from fmnist.evidence.verdict import Part, Statement, can_be_decided, judge

FIRST, SECOND = [91.31, 91.12, 91.55, 91.2, 91.41], [90.9, 91.4, 90.1, 90.75, 91.0]


def above(first, second, margin=0.2, **kept):
    seeds = tuple(range(len(first)))
    return Part("", "higher", (tuple(first), tuple(second)), seeds, margin, resolution=0.01, **kept)


def value(values, v, rule="about", margin=0.5):
    return Part("", rule, (tuple(values),), tuple(range(len(values))), margin, v, resolution=0.01)


def verdict(*parts, **kept):
    return judge(Statement(parts, **kept)).verdict


def test_a_mean_has_the_interval_and_p_of_the_t_test():
    summary = summarize(FIRST)
    expected = stats.ttest_1samp(FIRST, 0).confidence_interval(0.95)
    assert (summary.low, summary.high) == pytest.approx(tuple(expected))
    for threshold in (91.0, 91.3, 91.5):
        greater = stats.ttest_1samp(FIRST, threshold, alternative="greater").pvalue
        assert summary.p_above(threshold) == pytest.approx(greater)
        assert summary.p_below(threshold) == pytest.approx(1 - greater)


@pytest.mark.parametrize("paired", [False, True])
def test_a_difference_is_welchs_or_paired(paired):
    found = contrast([FIRST, SECOND], paired=paired, resolution=0)
    if paired:
        test = stats.ttest_rel(FIRST, SECOND)
    else:
        test = stats.ttest_ind(FIRST, SECOND, equal_var=False)
    assert found.df == pytest.approx(test.df)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert 2 * found.p_above(0) == pytest.approx(test.pvalue)
    part = above(FIRST, SECOND, paired=paired)
    assert part.summary().error == pytest.approx(found.error)


def test_a_published_value_is_compared_with_single_runs():
    summary, n = summarize(FIRST), len(FIRST)
    m, s = np.mean(FIRST), np.std(FIRST, ddof=1)
    for v in (91.2, 91.9):
        t = abs(v - m) / (s * math.sqrt(1 + 1 / n))
        assert summary.p_single(v) == pytest.approx(2 * stats.t.sf(t, n - 1))
        inside = stats.nct.cdf(abs(v - m) * math.sqrt(n) / s, n - 1, CENTRAL * math.sqrt(n))
        assert summary.p_central(v) == pytest.approx(inside, rel=1e-6)


@pytest.mark.parametrize(("a", "b"), [([3, 4, 4], [2, 3, 4]), ([5, 7, 9, 9], [5, 5, 2, 7])])
def test_the_permutation_test_deals_all_ways(a, b):
    def statistic(x, y, axis):
        return x.sum(axis)

    expected = stats.permutation_test(
        (a, b), statistic, alternative="greater", n_resamples=np.inf, vectorized=True
    )
    assert permutation(a, b) == pytest.approx(expected.pvalue)
    assert permutation([2.5], [1]) is None
    assert permutation(range(20, 40), range(20)) == pytest.approx(1 / math.comb(40, 20))


def test_equal_accuracies_are_no_proof_and_one_seed_has_no_interval():
    assert summarize([91.0, 91.0], resolution=0.01).sd == pytest.approx(0.01 / math.sqrt(12))
    assert summarize([5.0, 5.0]).p_above(1.0) == 1.0
    assert math.isnan(summarize([91.0]).half_width)
    with pytest.raises(ValueError, match="no values"):
        summarize([])


def test_fewer_than_three_seeds_decide_only_what_no_seed_changes():
    assert verdict(above([95, 95.1], [90, 90.1])) == "undecided"
    assert verdict(above([95, 95.1, 94.9], [90, 90.1, 90.2])) == "holds"
    for threshold, found in ((300_000.0, "does not hold"), (1_701_000.0, "holds")):
        exact = Part("", "about", ((1_701_578.0,),), (0,), 10_000, threshold, exact=True)
        assert verdict(exact, family=50) == found
    for rule, value in (("about", 6.0), ("at_least", 7.0), ("at_most", 7.0)):  # just so many
        assert verdict(Part("", rule, ((7.0,),), (0,), 7.0 - value, value, exact=True)) == "holds"
    assert verdict(Part("", "at_least", ((7.0,),), (0,), value=7.1, exact=True)) == "does not hold"
    assert verdict(Part("", "same", ((7.0,), (7.0,)), (0,), exact=True)) == "holds"
    assert verdict(Part("", "higher", ((7.0,), (7.0,)), (0,), exact=True)) == "does not hold"


@pytest.mark.parametrize(
    ("gain", "noise", "found", "size"),
    [
        (1.0, 0.05, "holds", "more"),
        (0.1, 0.01, "holds", "less"),
        (0.21, 0.05, "holds", ""),
        (0.0, 0.05, "does not hold", ""),
        (-2.0, 0.05, "does not hold", ""),
        (0.1, 0.5, "undecided", ""),
    ],
)
def test_a_verdict_comes_with_its_size(gain, noise, found, size):
    spread = np.array([-1, 0.5, 0, -0.5, 1]) * noise
    judgement = judge(Statement((above(90 + gain + spread, 90 - spread),)))
    assert (judgement.verdict, judgement.size) == (found, size)
    low, high = judgement.interval
    assert (low > 0) == (found == "holds")
    assert (high < 0.2) == (found == "does not hold" or size == "less")
    assert (low > 0.2) == (size == "more")


def test_a_claim_about_a_value():
    runs = [90.0, 90.6, 91.2, 90.3, 90.9]
    assert verdict(value(runs, 90.6, margin=0.01)) == "holds"  # as one of our runs
    assert verdict(value(runs, 94.0)) == "does not hold"
    assert verdict(value(runs, 91.9)) == "undecided"  # our mean is off; a run of ours may be there
    exact = [90.60, 90.61, 90.62, 90.61, 90.60]
    assert verdict(value(exact, 90.9)) == "holds"  # no run of ours, and within the margin
    assert verdict(value(runs, 89.0, "at_least")) == "holds"
    assert verdict(value(runs, 89.0, "at_most")) == "does not hold"


def test_the_same_within_the_margin():
    near, far = [90.0, 90.01, 89.99, 90.0], [91.0, 91.01, 91.02, 91.0]

    def same(a, b):
        return Part("", "same", (tuple(a), tuple(b)), (0, 1, 2, 3), 0.2, resolution=0.01)

    assert verdict(same(near, near)) == "holds"
    assert verdict(same(near, far)) == verdict(same(far, near)) == "does not hold"


def test_all_parts_must_be_shown_and_one_refutes():
    good = above([95, 95.1, 94.9], [90, 90.1, 90.2])
    bad = above([90, 90.1, 90.2], [95, 95.1, 94.9])
    wide = above([90, 95, 85], [90, 94, 86])
    assert verdict(good, good) == "holds"
    assert verdict(good, wide) == "undecided"
    assert verdict(good, bad) == "does not hold"
    statement = Statement((good, bad))
    assert statement.weakest is bad
    assert statement.test(3).refuted == pytest.approx(2 * bad.test(3).refuted)


def test_a_claim_of_several_parts_is_by_more_when_all_are_and_by_less_when_one_is():
    spread = np.array([-1, 0.5, 0, -0.5, 1])
    little, large = (above(90 + d + s * spread, 90 - s * spread)
                     for d, s in ((0.1, 0.003), (2.0, 0.3)))  # fmt: skip
    assert judge(Statement((large, large))).size == "more"
    both = Statement((large, little))
    assert (judge(both).size, both.weakest) == ("less", little)  # though it is the better shown
    assert judge(both).interval[1] < 0.2


def test_the_part_that_refutes_is_shown_with_the_interval_that_decides():
    spread = np.array([-1, 0.5, 0, -0.5, 1])
    noisy = above(89 + 2 * spread, 90 - 2 * spread)
    refuting = above(90 + 0.02 * spread, 90 - 0.02 * spread)
    statement = Statement((noisy, refuting), family=4)
    judgement = judge(statement)
    assert judgement.verdict == "does not hold"
    assert statement.weakest is refuting
    assert judgement.interval[1] < 0.2
    # Just too little to refute with sixteen parts, though enough with one.
    just = above(90 + 0.15 * spread, 90 - 0.15 * spread)
    assert judge(Statement((just,))).verdict == "does not hold"
    open_ = judge(Statement((just,) * 16))
    assert open_.verdict == "undecided"
    assert open_.interval[1] > 0.2


@pytest.mark.parametrize("noise", [0.2, 0.25, 0.3, 0.35, 0.4, 0.5])
def test_the_interval_of_a_value_lies_within_the_margin_only_where_it_holds(noise):
    runs = 90 + noise * np.array([-1, 0.5, 0, -0.5, 1])
    judgement = judge(Statement((value(runs, 90.0, margin=0.5),), family=8))
    low, high = judgement.interval
    assert judgement.verdict == "holds" or not (low > 89.5 and high < 90.5)


def test_p_is_multiplied_by_the_claims_of_the_source_and_the_looks_declared():
    part = above(FIRST, SECOND)
    alone = judge(Statement((part,)))
    among = judge(Statement((part,), (5, 10, 20), family=7))
    assert alone.p == pytest.approx(part.test(5).shown)
    assert among.p == pytest.approx(21 * alone.p)
    assert (alone.verdict, among.verdict) == ("holds", "undecided")
    low, high = among.interval
    tail = 0.05 / 21
    expected = stats.ttest_ind(FIRST, SECOND, equal_var=False).confidence_interval(1 - 2 * tail)
    assert (low, high) == pytest.approx(tuple(expected))


def test_a_claim_is_judged_at_its_looks_and_never_between():
    rng = np.random.default_rng(0)
    first, second = 90.5 + rng.normal(0, 0.3, 12), 90 + rng.normal(0, 0.3, 12)

    def judged(n):
        return judge(Statement((above(first[:n], second[:n]),), (5, 10, 20)))

    assert (judged(4).verdict, judged(4).p, judged(4).interval) == ("undecided", None, None)
    assert judged(9) == judged(5).__class__(**{**vars(judged(5)), "seeds": 9})
    assert (judged(12).look, judged(12).seeds, judged(12).p) == (10, 12, judged(10).p)
    by_look = [3 * above(first, second).test(n).shown for n in (5, 10)]
    assert judged(10).p == pytest.approx(min(by_look))


def test_a_decision_at_an_early_look_stays_and_the_interval_with_it():
    first, second = [91, 91.01, 91.02, 91, 91], [90, 90.01, 90.02, 90, 90]
    early = judge(Statement((above(first, second),), (5, 10)))
    wild = [60.0, 120.0, 91.0, 70.0, 110.0]
    statement = Statement((above(first + wild, second + [90.0] * 5),), (5, 10))
    late = judge(statement)
    assert early.verdict == late.verdict == "holds"
    assert late.interval == pytest.approx(early.interval)
    # The mean that is shown lies in it, though that of all ten does not.
    assert (statement.last, statement.shown) == (10, 5)
    means = [statement.parts[0].summary(n).mean for n in (5, 10)]
    assert [late.interval[0] < mean < late.interval[1] for mean in means] == [True, False]


def test_looks_that_leave_nothing_together_give_the_interval_of_the_one_that_decided():
    first, second = [93, 93.1, 93.2, 93, 93.1] + [90.5] * 4 + [90.4], [90, 90.1] * 5
    statement = Statement((above(first, second),), (5, 10))
    judgement = judge(statement)
    low, high = statement.interval((5, 10))
    assert low > high
    assert (judgement.verdict, judgement.size, statement.shown) == ("holds", "more", 5)
    assert judgement.interval == statement.interval([5])
    assert judgement.interval[0] < statement.parts[0].summary(5).mean < judgement.interval[1]


def test_whole_numbers_are_judged_by_the_exact_test():
    slow, fast = [9, 8, 9, 11, 10, 9], [3, 4, 4, 2, 3, 3]
    part = above(slow, fast, 0.5, whole=True)
    assert judge(Statement((part,))).p == pytest.approx(1 / math.comb(12, 6))
    assert judge(Statement((part,))).interval is None
    assert verdict(part) == "holds"
    assert verdict(above(fast, slow, 0.5, whole=True)) == "does not hold"
    assert verdict(above(slow, slow, 0.5, whole=True)) == "undecided"


def test_looks_at_which_few_whole_numbers_can_decide_nothing_are_known():
    part = above([9, 8, 9, 9, 9], [3, 4, 4, 2, 3], 0.5, whole=True)
    for family, decided in ((1, True), (10, False)):  # 10 claims x 2 looks / 252 ways
        assert can_be_decided(True, (3, 5), family) is decided
        verdict_ = judge(Statement((part,), (3, 5), family)).verdict
        assert verdict_ == ("holds" if decided else "undecided")
    assert can_be_decided(True, (), 10)  # more seeds are another look
    assert can_be_decided(False, (3, 5), 10)


def test_no_verdict_where_the_rules_give_none():
    assert verdict(above(FIRST, SECOND), excuse="1 of its runs failed") == "not judged"
    assert judge(None).verdict == "not measured"


def test_a_report_pairs_what_comes_of_one_training():
    assert one_training(["tta"])
    assert one_training(["trainer.precision", "ema_decay"])
    assert not one_training(["tta", "aug.flip"])


def test_comparisons_of_a_report_are_corrected_for_each_other():
    alone = Comparison("a", "b", contrast([FIRST, SECOND], resolution=0))
    single = Comparison("a", "c", contrast([[1.0], [2.0]], resolution=0))
    among = corrected([alone, alone, single])[0]
    assert alone.p == pytest.approx(stats.ttest_ind(FIRST, SECOND, equal_var=False).pvalue)
    assert among.p == pytest.approx(2 * alone.p)
    assert math.isnan(single.p)
    for item in (alone, among):
        assert item.significant == (item.low > 0)
