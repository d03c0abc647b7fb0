"""What runs say: claims, matched comparisons, statistics, verdicts."""
