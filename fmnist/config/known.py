"""What torch's annotations do not say of the arguments that conf/ offers: where they should lie.

A node whose keys all stand here needs no trial (`fmnist.config.trial`): any value in its range is
good, and nothing heavy has to be imported to know it.
"""

from typing import Any

from fmnist.config.groups import grouping_settings

RATE, SHARE, WEIGHT = "(0, inf)", "[0, 1)", "[0, inf)"
ANY = ""  # torch's annotation says it all

RANGES = {
    "torch.optim.SGD": {
        "lr": RATE, "momentum": SHARE, "weight_decay": WEIGHT, "nesterov": ANY, "fused": ANY,
    },
    "torch.optim.Adam": {"lr": RATE, "weight_decay": WEIGHT, "fused": ANY},
    "torch.optim.AdamW": {"lr": RATE, "weight_decay": WEIGHT, "fused": ANY},
    "torch.optim.RMSprop": {"lr": RATE, "alpha": SHARE, "weight_decay": WEIGHT, "momentum": SHARE},
    # Its own annotations say the ranges.
    "fmnist.training.muon.MuonAdamW": dict.fromkeys(
        ("lr", "adamw_lr", "momentum", "weight_decay"), ANY
    ),
    "torch.optim.lr_scheduler.StepLR": {"step_size": "[1, inf)", "gamma": RATE},
    "torch.optim.lr_scheduler.ReduceLROnPlateau": {
        "mode": ANY, "factor": "(0, 1)", "patience": WEIGHT,
    },
    "torch.optim.lr_scheduler.OneCycleLR": {
        "max_lr": RATE, "pct_start": "(0, 1)", "cycle_momentum": ANY,
    },
    "torch.optim.lr_scheduler.CosineAnnealingLR": {"eta_min": WEIGHT},
}  # fmt: skip
# Of torch's other classes: their constructors refuse some of it, infinity never.
OTHERS = {"lr": RATE, "weight_decay": WEIGHT, "momentum": SHARE}


def public_name(target: str) -> str:
    """torch.optim.adam.Adam is torch.optim.Adam."""
    module, _, name = target.rpartition(".")
    for package in ("torch.optim.lr_scheduler", "torch.optim"):
        if module == package or module.startswith(f"{package}."):
            return f"{package}.{name}"
    return target


def ranges(target: str) -> dict[str, str]:
    """By argument of a class of torch's, the interval of its values; nothing of any other."""
    name = public_name(target)
    return RANGES.get(name, OTHERS if name.startswith("torch.optim.") else {})


def is_known(node: dict[str, Any]) -> bool:
    """Whether every key of a node stands here."""
    known = RANGES.get(public_name(str(node.get("_target_"))))
    keys = [key for key in node if not key.startswith("_") and key not in grouping_settings()]
    return known is not None and all(key in known for key in keys)
