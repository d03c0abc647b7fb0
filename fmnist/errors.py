"""Errors that a user can cause: one clear line, no traceback, a non-zero exit code."""


class UserError(Exception):
    """What is wrong, the offending value, and what would be right, in one message."""

    exit_code = 2


class ConfigError(UserError):
    """A setting that does not exist or has a value that it cannot have."""


class DataError(UserError):
    """A data file that is not what it should be."""


class DataUnavailable(DataError):
    """The data set is neither on disk nor reachable. `make train` looks for this exit code."""

    exit_code = 3


class RunError(UserError):
    """A run directory that cannot be read, or must not be written."""


class RunBusy(RunError):
    """Another process is training this run."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: try again later


class ProcessFailed(UserError):
    """Another process of a run on several devices did not come to its end."""

    exit_code = 1


class CellFailed(UserError):
    """A cell of a sweep that did not come to its end; its own record says more."""

    exit_code = 1


class Diverged(UserError):
    """The loss is no longer a finite number."""

    exit_code = 1


class Pruned(UserError):
    """A search has given up the trial that the run belongs to."""

    exit_code = 1
