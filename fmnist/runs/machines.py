"""Whether seconds and memory of runs may stand beside each other: only those of one machine."""

from collections import Counter
from collections.abc import Iterable

from fmnist.runs.text import plural, threads_text


def machines_in_words(machines: Iterable[tuple[str, int | str | None]]) -> str:
    """ "seconds and memory are not of one machine: 3 runs of x86_64, 2 threads; 2 of H200, ...".

    Args:
        machines: device and threads, where these are known, of every run that was measured.

    Returns:
        "" where all had the same.
    """
    counts = Counter(f"{name}, {threads_text(n)}" if n else name for name, n in machines)
    if len(counts) < 2:
        return ""
    (first, count), *others = counts.most_common()
    words = [f"{plural(count, 'run')} of {first}"]
    words += [f"{count} of {name}" for name, count in others]
    return f"seconds and memory are not of one machine: {'; '.join(words)}"
