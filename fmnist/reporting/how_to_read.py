"""How docs/findings.md is read: what stands before its stories."""

from collections.abc import Sequence

from fmnist.evidence.claim import MARGIN
from fmnist.evidence.mended import touched_words
from fmnist.evidence.text import ROUNDED, scope
from fmnist.reporting.finding_figures import EFFECTS_LEGEND, VALUES_LEGEND
from fmnist.runs.rows import Row


def opening(rows: Sequence[Row]) -> list[str]:
    """What the page is about, and how to read it: its first paragraphs."""
    return [
        "# Findings",
        "Five sources, each a story of a few networks trained once on Fashion-MNIST, and what "
        "became of their claims when every network was trained again with several seeds. Written "
        "by `make results` from the rows in `results/`: no number of ours was typed. The rules are "
        "in [Claims and verdicts](claims.md), every claim with its remarks in `results/README.md`.",
        f"{scope(row.tested for row in rows)}. An interval is that of the level that decides; "
        "where none is shown, the numbers are whole or exact, or too few seeds are there yet. "
        "*On other images, too*: the interval that covers other test images besides, and is never "
        "the narrower one; it decides nothing. P(A > B): how often a run of the first side, or its "
        "mean of a seed over the settings that it averages, is above one of the second, with a "
        f"95 % interval. {ROUNDED}.",
        "A comparison *does not hold* when its difference is shown to be below the margin, "
        f"{MARGIN:g} points where nothing else is said: a smaller one may be there. A published "
        "value is one run, and *holds* when it is shown to lie where 95 % of our single runs do, "
        "or our mean within the margin of it: runs that vary widely agree with much, and it may "
        "lie outside the interval, which is that of our mean.",
        "A *reading* is one way to set what a source left open. A verdict on a comparison is that "
        "of ours, with the number of readings in which it comes out the same, or the other way; a "
        "published value holds under some reading or does not hold under any. Of a claim with "
        "several parts the one is shown, in brackets, that speaks least for it: of what is open, "
        "the odds are of that one alone. Numbers are called as the records "
        "call them: `test/acc` is the accuracy of the epoch that validation chose, `_last` of the "
        "last one, `val/acc_best` of the best one, `val/acc_area` the mean over the epochs.",
        *touched_words(rows),
        f"*Figures of comparisons:* {EFFECTS_LEGEND}",
        f"*Figures of published values:* {VALUES_LEGEND}",
    ]
