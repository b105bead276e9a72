"""A Python environment with what a wheel asks for and nothing else, made without the network."""

from __future__ import annotations

import subprocess
import sysconfig
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class Environment:
    """Where it is."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin/python")

    @property
    def command(self) -> str:
        """Our console script in it."""
        return str(self.folder / "bin/captcha-bypass")

    @property
    def packages(self) -> set[str]:
        """Names of the distributions in it."""
        infos = self._site.glob("*.dist-info")
        return {canonicalize_name(info.name.partition("-")[0]) for info in infos}

    @property
    def _site(self) -> Path:
        paths = {"base": str(self.folder), "platbase": str(self.folder)}
        return Path(sysconfig.get_path("purelib", vars=paths))

    def install(self, wheel: Path, extras: Iterable[str] = ()) -> None:
        """Install a wheel, and link what it requires to what runs this test."""
        uv = Path(sysconfig.get_path("scripts"), "uv")
        options = ["--offline", "--no-cache", "--no-deps", "--quiet", "--python", self.python]
        subprocess.run([uv, "pip", "install", *options, wheel], check=True, timeout=60)
        (info,) = self._site.glob("captcha_bypass-*.dist-info")
        for found in closure(Distribution.at(info), frozenset(extras)):
            self._link(found)

    def _link(self, found: Distribution) -> None:
        """Have what a distribution installs here, too: whole packages where nothing else is in them."""
        for file in found.files or ():
            if ".." in file.parts:
                continue  # one of its scripts
            origin = Path(str(file.locate()))
            top = origin.parents[len(file.parts) - 2] if len(file.parts) > 1 else origin
            is_whole = (top / "__init__.py").exists() or top.suffix == ".dist-info"
            target = self._site / (top.name if is_whole else file)
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(top if is_whole else origin)


def make(folder: Path) -> Environment:
    """Make an empty one: without pip, too."""
    venv.EnvBuilder(symlinks=True).create(folder)
    return Environment(folder)


def closure(root: Distribution, extras: frozenset[str]) -> list[Distribution]:
    """Return all that a distribution requires, with what those require."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    todo = [(root, extras)]
    while todo:
        for requirement in required(*todo.pop()):
            name = canonicalize_name(requirement.name)
            wanted = (name, frozenset(requirement.extras))
            if wanted not in seen:
                seen.add(wanted)
                found[name] = distribution(requirement.name)
                assert requirement.specifier.contains(found[name].version), requirement
                todo.append((found[name], wanted[1]))
    return list(found.values())


def required(of: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    """Yield what a distribution with these extras requires on this machine."""
    for text in of.requires or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras)):
            yield requirement
