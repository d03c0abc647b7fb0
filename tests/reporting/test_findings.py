"""Findings: committed page and figures are what the command makes; prose is true whatever."""

import re
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fmnist.evidence.claim_file import CLAIMS_DIR, load_claims
from fmnist.evidence.outcome import evaluate
from fmnist.reporting.findings import (
    SOURCES,
    counted,
    finding,
    found_words,
    left_open_words,
    sentence,
    told,
    write_findings,
)  # fmt: skip
from tests.committed import committed_outcomes, committed_rows, judged_once
from tests.conftest import CHECKOUT
from tests.evidence.test_claims import row

CLAIMS = load_claims(CLAIMS_DIR)


@cache
def outcomes_of(measured: bool = True):
    return committed_outcomes() if measured else evaluate(CLAIMS, [])


def test_the_committed_findings_are_what_the_command_makes(tmp_path, monkeypatch):
    monkeypatch.setattr("fmnist.reporting.findings.evaluate", judged_once)
    write_findings(committed_rows(), CLAIMS, tmp_path)
    page = (tmp_path / "findings.md").read_text()
    assert (CHECKOUT / "docs/findings.md").read_text() == page, "run: make results"
    committed = {path.name: path.read_text() for path in (CHECKOUT / "docs/figures").glob("*.svg")}
    made = {path.name: path.read_text() for path in (tmp_path / "figures").glob("*.svg")}
    assert committed == made, "run: make results"
    for name, svg in made.items():
        assert f"(figures/{name})" in page
        assert ElementTree.fromstring(svg).get("aria-label")
        assert "prefers-color-scheme: dark" in svg


def test_no_source_lacks_its_prose_and_no_claim_its_sentence():
    outcomes = outcomes_of()
    assert {claim.source for claim in CLAIMS} == set(SOURCES)
    page = (CHECKOUT / "docs/findings.md").read_text()
    for outcome in outcomes:
        if not outcome.claim.costs:
            said = re.escape(outcome.claim.claim.rstrip("."))
            assert len(re.findall(rf"^- {said}(?:: \*\*|\. Not measured)", page, re.MULTILINE)) == 1
    for source in SOURCES:
        assert finding(source, outcomes, CLAIMS) in page


def test_every_kind_of_figure_has_its_colours_explained():
    """Orange is "does not hold" in one kind of figure, and a pair of levels in another."""
    page = (CHECKOUT / "docs/findings.md").read_text()
    figures = {name.partition("_")[2] for name in re.findall(r"\(figures/(\w+)\.svg\)", page)}
    assert figures == {"effects", "values", "factorial"}
    assert page.count("Blue") == len(figures)
    below = page.partition("(figures/s2_factorial.svg)")[2].strip().splitlines()[0]
    assert "Blue: what a level adds" in below
    assert "Orange: of every two" in below


@pytest.mark.parametrize("source", SOURCES)
def test_the_prose_can_be_written_when_nothing_was_measured(source):
    outcomes = outcomes_of(measured=False)
    assert "not measured" in finding(source, outcomes, CLAIMS)


def test_a_sentence_has_verdict_size_seeds_and_what_was_published():
    items = told(outcomes_of(), CLAIMS)
    item = items["s1_augmentation"]
    words = sentence(item)
    assert words.startswith("Augmentation lowers the accuracy of FashionCNN: **")
    assert f"with {item.effect} over " in words
    assert "where the source saw +2.76. " in words
    assert ". P(A > B) " in words
    refuted = replace(item.outcome, judgement=replace(item.outcome.judgement, verdict="undecided"))
    assert "Odds as the seeds stand: " in sentence(replace(item, outcome=refuted))


def test_the_counts_are_of_all_claims_but_costs():
    outcomes = [o for o in outcomes_of() if o.claim.source == "S1"]
    counts = counted(outcomes)
    verdicts = Counter(o.judgement.verdict for o in outcomes if not o.claim.costs)
    assert counts["asked"] == sum(verdicts.values()) == 22
    assert counts["holds"] == verdicts["holds"]
    assert counts["holds"] + counts["does not hold"] + counts["open"] == counts["asked"]
    assert f"Of 22 claims {counts['holds']} hold" in found_words(list(told(outcomes, []).values()))


def test_what_stays_open_is_told_from_what_is_not_run_yet():
    one, other = evaluate(CLAIMS, committed_rows(), ["s2_pooling", "s2_optimizer"])
    judged = replace(one.judgement, verdict="undecided", look=20, looks=(10, 20))
    last = replace(one, judgement=judged)
    earlier = replace(other, judgement=replace(judged, look=10))
    assert (last.stays_open, earlier.stays_open) == (True, False)
    words = found_words(list(told([last, earlier], []).values()))
    assert "2 are open, 1 of them after its last look." in words


def test_every_template_belongs_to_a_file_of_claims():
    assert {path.stem for path in Path(CLAIMS_DIR).glob("*.md")} == {
        path.stem for path in Path(CLAIMS_DIR).glob("*.yaml")
    }


def test_a_finding_says_in_how_many_readings_it_comes_out_the_same():
    rows = [
        row(f"experiment=s2_{name}", *more, seed=seed, test_acc=acc + seed / 10, train_acc=acc)
        for more, best, worst in (((), 86.0, 83.0), (("aug=flip",), 89.0, 91.0))
        for name, acc in (("best", best), ("worst", worst))
        for seed in range(1, 11)
    ]
    outcomes = evaluate(CLAIMS, rows)
    of_s2 = [o for o in outcomes if o.claim.source == "S2"]
    assert "best model holds (in 1 of 2 readings, does not hold in 1, 7 to run): +3.00" in finding(
        "S2", of_s2, CLAIMS
    )
    said = told(of_s2, CLAIMS)["s2_best_worst"]
    assert "The same verdict in 1 of 2 readings, does not hold in 1, 7 to run." in sentence(said)
    unread = [item for item in rows if "flip" not in str(item.settings["aug"])]
    (alone,) = [o for o in evaluate(CLAIMS, unread) if o.claim.name == "s2_best_worst"]
    assert "reading" not in sentence(told([alone], CLAIMS)["s2_best_worst"])


def test_what_a_source_left_open_is_shown_by_how_far_its_value_moves():
    ours, flips = ("experiment=s2_best",), ("experiment=s2_best", "aug=flip")
    rows = [
        row(*overrides, seed=seed, train_acc=acc, val_acc_best=acc, test_acc=acc + seed / 10)
        for overrides, acc in ((ours, 86.0), (flips, 89.0))
        for seed in (1, 2, 3)
    ]
    outcomes = [o for o in evaluate(CLAIMS, rows) if o.claim.name == "s2_best_value"]
    words = left_open_words(outcomes)
    assert "these were listed, before the runs that count under them: `aug=flip`; " in words
    form = r"goes from (86\.\d\d) % \(our reading\) to (89\.\d\d) % \(`aug=flip`\), by (3\.\d\d)"
    (ends,) = re.findall(form, words)
    low, high, apart = map(Decimal, ends)
    assert high - low == apart
    assert "over the 2 of 9 readings that were run." in words
    worst = [
        row("experiment=s2_worst", *more, seed=seed, test_acc=acc + seed / 10)
        for more, acc in (((), 85.5), (("aug=flip",), 88.8))
        for seed in (1, 2, 3)
    ]
    both = [o for o in evaluate(CLAIMS, rows + worst) if o.claim.name == "s2_best_worst"]
    words = left_open_words(both)
    assert "difference in `test/acc` goes from +0.20 points (`aug=flip`) to +0.50 points (" in words
    said = "; over the readings from +0.20 points (`aug=flip`) to +0.50 points (our reading)"
    assert told(both, CLAIMS)["s2_best_worst"].span == said
    (alone,) = [o for o in evaluate(CLAIMS, rows[:3] + worst[:3]) if o.claim == both[0].claim]
    assert told([alone], CLAIMS)["s2_best_worst"].span == ""
    assert "None of them has been run yet." in left_open_words(
        [o for o in outcomes_of(measured=False) if o.claim.source == "S2"]
    )
