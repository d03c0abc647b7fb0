"""Hydra's hook before a run or a sweep: a mistake leaves no directory behind."""

from typing import Any

from hydra.core.utils import env_override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fmnist.config.check import check
from fmnist.config.command import check_command
from fmnist.config.devices import check_devices
from fmnist.config.explain import fail
from fmnist.config.trial import try_out


class CheckBeforeRun(Callback):
    """What is wrong with the command, the configuration or the machine is said in one line."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            # Hydra sets the job's variables later, where PyTorch has read its own.
            with env_override(config.hydra.job.env_set):
                check_command(config)
                plain = check(config)
                check_devices(plain)
                try_out(plain)
        except Exception as error:  # Hydra makes warnings of them; SystemExit passes
            raise SystemExit(fail(error)) from error

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """The cells are checked by the sweeper, all of them before the first is trained."""
        try:
            check_command(config)
        except Exception as error:
            raise SystemExit(fail(error)) from error
