"""Modules that run when somebody first uses them, though others have imported them before.

What is imported within `postponed` is there, but has not run: it has no names besides those that
it is known to be asked for in vain (see `fmnist.process.startup`). Whoever asks it for any other
name, or imports another module within it, makes it run, and finds it as it always was: the same
module object, which the import system's own loader fills.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from threading import RLock
from types import ModuleType
from typing import Any

_running = RLock()


@dataclass(frozen=True)
class Answers:
    """What a module answers before it has run.

    Attributes:
        at_once: names and what stands in for them. Once the module has run, its own replace them,
            in every module that took them from it by name.
        elsewhere: names and the module within this one where they are at home.
    """

    at_once: Mapping[str, Any] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)


class _Later(ModuleType):
    """A module that has not run."""

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # a package has one, and whether this is one is often asked
            raise AttributeError(name)
        loader: Any = self.__spec__.loader if self.__spec__ else None
        if isinstance(loader, _LaterLoader):
            if home := loader.answers.elsewhere.get(name):
                try:
                    return getattr(importlib.import_module(f"{self.__name__}.{home}"), name)
                except (ImportError, AttributeError):  # it has moved: the module itself knows
                    pass
            run(self)
        return getattr(self, name)


class _LaterLoader(Loader):
    """Makes a module without running it."""

    def __init__(self, real: Loader, answers: Answers) -> None:
        self.real, self.answers = real, answers

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__class__ = _Later
        vars(module).update(self.answers.at_once)


class _ThereLoader(Loader):
    """Gives a module that has been imported already."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec


def run(module: ModuleType) -> None:
    """Run a module as if it were imported now; nothing if it has run."""
    with _running:
        spec = module.__spec__
        if type(module) is not _Later or spec is None or not isinstance(spec.loader, _LaterLoader):
            return
        real, answers = spec.loader.real, spec.loader.answers
        plain: Any = module
        plain.__class__ = ModuleType  # a plain one: what it lacks while it runs, it lacks
        for name in answers.at_once:
            vars(module).pop(name, None)
        module.__loader__ = spec.loader = real
        real.exec_module(module)
    for other in list(sys.modules.values()):
        names = getattr(other, "__dict__", {})
        for name, stand_in in answers.at_once.items():
            if names.get(name) is stand_in and name in vars(module):
                names[name] = vars(module)[name]


class _Finder(MetaPathFinder):
    """Finds the modules that are put off and, as long as they are, all that is in them.

    Attributes:
        putting_off: modules are being put off now, and what is in them does not make them run.
    """

    def __init__(self, answers: Mapping[str, Answers]) -> None:
        self.answers, self.putting_off = answers, True

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if self.putting_off:
            return self._later(name, path, target) if name in self.answers else None
        package = sys.modules.get(name.rpartition(".")[0])
        if type(package) is not _Later:
            return None
        run(package)
        module = sys.modules.pop(name, None)  # or the import system would run it once more
        return module and ModuleSpec(name, _ThereLoader(module))  # type: ignore[return-value]

    def _later(self, name: str, path: Any, target: Any) -> ModuleSpec | None:
        """What the other finders find, to be run later."""
        for finder in [other for other in sys.meta_path if other is not self]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _LaterLoader(spec.loader, self.answers[name])
                return spec
        return None


@contextmanager
def postponed(modules: Mapping[str, Answers]) -> Iterator[None]:
    """These modules, where they are imported meanwhile for the first time, run when they are used.

    Meanwhile a module within one of them can be imported without making it run.
    """
    finder = _Finder(modules)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        finder.putting_off = False
