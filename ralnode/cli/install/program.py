"""The program that runs now: which kind of executable it is, and how it is laid down as a folder somewhere else."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from ralnode.api import RefusedError
from ralnode.cli.install.archive import without_files

CONTENTS = "_internal"


@dataclass(frozen=True, slots=True)
class Program:
    executable: Path
    contents: Path
    """Its libraries and data: a temporary folder if it is one file, else beside the executable."""

    @property
    def papers(self) -> Path:
        """Texts that are installed with it."""
        return self.contents / "share"

    @property
    def build(self) -> str:
        """Version and time of the build; equal for the same program, whether one file or a folder."""
        return build_of(self.papers)

    @property
    def version(self) -> str:
        return self.build.split()[0]

    def lay_down(self, folder: Path) -> None:
        """Makes the folder, with the executable and its contents, for root to write and everybody to read."""
        shutil.copytree(self.contents, folder / CONTENTS, symlinks=True, copy_function=shutil.copyfile)
        for each in (folder, *folder.rglob("*")):
            if not each.is_symlink():
                each.chmod(0o755 if each.is_dir() else 0o644)
        made = folder / "ralnode"
        whole = self.executable.read_bytes()
        made.write_bytes(whole if self.contents.parent == self.executable.parent else without_files(whole))
        made.chmod(0o755)


def build_of(papers: Path) -> str:
    """Empty where no program is."""
    file = papers / "build"
    return file.read_text().strip() if file.is_file() else ""


def this_program() -> Program:
    """Raises RefusedError when this is no executable of ours, but Python with packages."""
    contents = getattr(sys, "_MEIPASS", None)
    if contents is None:
        raise RefusedError(
            "this ralnode runs from a Python environment, which a service of its own user should not depend on; nothing was "
            "changed. Take the executable (sh packaging/build, then: sudo dist/ralnode install) or the Debian package"
        )
    return Program(Path(os.path.realpath(sys.executable)), Path(os.path.realpath(contents)))
