"""How many devices a run asks for, and how many there are."""

import os
import re
import shutil
import sys
from typing import Any

from fmnist.config.schema import look_up
from fmnist.config.words import show
from fmnist.errors import ConfigError
from fmnist.process.machine import allowed_cores

RIGHT = "should be a whole number, at least 1, or auto: as many as there are"
RIGHT_GPU = f"{RIGHT}, or a list of GPU numbers, as [0,1]"


def count_devices(devices: Any, accelerator: Any) -> int | None:
    """The number of devices that `trainer.devices` says; None: as many as there are.

    Raises:
        ConfigError: it says nothing of the kind.
    """
    if devices in ("auto", "-1", -1, None):
        return None
    right, devices = RIGHT if accelerator == "cpu" else RIGHT_GPU, _listed(devices)
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if isinstance(devices, list) and accelerator != "cpu" and devices:
        if all(type(number) is int and number >= 0 for number in devices):
            if len({*devices}) == len(devices):
                return len(devices)
            right = "should name every GPU once"
    elif type(devices) is int and devices >= 1:
        return devices
    raise ConfigError(f"trainer.devices={show(devices)}: {right}")


def _listed(devices: Any) -> Any:
    """ "0,1" is a list of two GPUs."""
    if isinstance(devices, str) and re.fullmatch(r"\d+(,\d+)+", devices):
        return [int(number) for number in devices.split(",")]
    return devices


def check_devices(plain: dict[str, Any]) -> None:
    """Refuse devices that this machine does not have; to be asked where the run will compute.

    PyTorch is imported only to count GPUs, where the configuration asks for some.

    Raises:
        ConfigError: naming the setting, its value and what there is.
    """
    accelerator = look_up(plain, "trainer.accelerator") or "auto"
    _check_compile(plain, accelerator)
    devices = _listed(look_up(plain, "trainer.devices"))
    wanted = count_devices(devices, accelerator)
    if accelerator == "auto" and wanted in (1, None) and not isinstance(devices, list):
        return  # a CPU is always there
    if accelerator == "tpu":
        return  # untested: Lightning says what there is
    gpus = 0 if accelerator == "cpu" else _count_gpus(accelerator)
    if not gpus and accelerator not in ("cpu", "auto"):
        raise ConfigError(
            f"trainer.accelerator={accelerator}: PyTorch finds no such device here; "
            "auto takes what there is"
        )
    there, what = (gpus, "GPUs") if gpus else (allowed_cores(), "processor cores")
    if isinstance(devices, list) and (not gpus or max(devices) >= there):
        right = f"numbers below {gpus}, of the GPUs here" if gpus else "a number: no GPU is here"
        raise ConfigError(f"trainer.devices={show(devices)}: should be {right}")
    if wanted is not None and wanted > there:
        raise ConfigError(
            f"trainer.devices={wanted}: should be at most {there}, the number of {what} here"
        )


def _check_compile(plain: dict[str, Any], accelerator: str) -> None:
    """Refuse what torch.compile is known not to do; the rest shows at the first step."""
    if not plain["compile"]:
        return
    if count_devices(look_up(plain, "trainer.devices"), accelerator) != 1:
        devices = show(look_up(plain, "trainer.devices"))
        raise ConfigError(f"compile=true: should be false where trainer.devices={devices}, not 1")
    # As torch finds it.
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    compiler = compiler.split()[0]
    if shutil.which(compiler) is None and (
        accelerator == "cpu" or (accelerator == "auto" and not _count_gpus(accelerator))
    ):
        raise ConfigError(f"compile=true: needs a C++ compiler, and there is no {compiler} here")


def _count_gpus(accelerator: str) -> int:
    import fmnist.process.startup  # noqa: F401 (before what it quickens)

    # isort: split
    import torch

    if accelerator != "mps" and (count := torch.cuda.device_count()):
        return count
    return int(accelerator in ("mps", "auto", "gpu") and torch.backends.mps.is_available())
