"""The nets, one a file: paper, deviations, shapes. They import torch and nothing else."""
