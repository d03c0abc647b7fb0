"""Sweeps that finish: which cells, where, each in its process, how they stand."""
