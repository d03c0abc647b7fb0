"""Where configurations are looked for: conf/, then folders of one's own, as Hydra does."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import ClassVar, TypeVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

from fmnist.config.schema import CONF_DIR
from fmnist.config.words import not_utf8
from fmnist.errors import ConfigError

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class OwnFolders(SearchPathPlugin):
    """Where Hydra looks besides conf/."""

    folders: ClassVar[list[Path]] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.folders:
            search_path.append("command-line", f"file://{folder}")


@contextmanager
def own_folder(path: Path | None) -> Iterator[None]:
    """What `--config-dir PATH` is to `fmnist.train`: whatever is composed inside looks there, too.

    Args:
        path: None: nowhere else.

    Raises:
        ConfigError: there is no such folder, or one of its files would not be read.
    """
    from hydra.core.plugins import Plugins

    if path is not None and not path.is_dir():
        raise ConfigError(f"--config-dir {path}: no such folder")
    if OwnFolders not in Plugins.instance().discover(SearchPathPlugin):
        Plugins.instance().register(OwnFolders)
    OwnFolders.folders = [] if path is None else [path.absolute()]
    try:
        refuse_hidden(conf_folders())
        yield
    finally:
        OwnFolders.folders = []


def cached_by_folders(function: Callable[[K], R]) -> Callable[[K], R]:
    """`functools.cache` of what is read from the folders: within another own folder, asked anew."""

    @cache
    def of(_: Hashable, key: K) -> R:
        return function(key)

    @wraps(function)
    def within(key: K) -> R:
        return of(tuple(conf_folders()), key)

    return within


def conf_folders() -> list[Path]:
    """All of them; of two files of one name the first counts."""
    return [CONF_DIR, *OwnFolders.folders]


def yaml_files(folder: Path) -> list[Path]:
    """Those that there are, at any depth: the lock of an editor is a link to no file."""
    return [path for path in sorted(folder.rglob("*.yaml")) if path.is_file()]


def read_yaml(path: Path) -> str:
    """The text of a file of configurations.

    Raises:
        ConfigError: it is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: {not_utf8(error)}") from error


def option_file(group: str, option: str) -> Path | None:
    """The file of an option; None: there is none."""
    files = (folder / group / f"{option}.yaml" for folder in conf_folders())
    return next((file for file in files if file.is_file()), None)


def options_of(group: str) -> list[str]:
    """The options of a group."""
    return sorted({f.stem for folder in conf_folders() for f in (folder / group).glob("*.yaml")})


def refuse_hidden(folders: Sequence[Path]) -> None:
    """Refuse a file of one's own that is not read, as conf/ has one of its name, and comes first.

    A copy that says the same is none: whichever is read, the configuration is what was meant.

    Args:
        folders: where Hydra looks, the first before the others.

    Raises:
        ConfigError: naming both.
    """
    # Which of one's own folders comes first one chooses; that ours does, one may not know.
    behind = folders[folders.index(CONF_DIR) + 1 :] if CONF_DIR in folders else []
    for folder in behind:
        # By our names: one's own folder may be a link, or hold a link to a group, or be large.
        for taken in yaml_files(CONF_DIR):
            name = taken.relative_to(CONF_DIR)
            path = folder / name
            if path.is_file() and taken.read_bytes() != path.read_bytes():
                what, right = f"{name.parent}={name.stem}", "should have a name of its own"
                if not name.parent.name:  # of another project's folder
                    what, right = f"{name}", f"{folder} should hold groups alone, as model/"
                raise ConfigError(f"{path}: would not be read: {what} is {taken}; {right}")
