"""What the packaging tests share."""

import os
import pathlib
import re
import shutil
import sys

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MAILFS_BUILD", "build"))
sys.path.insert(0, str(SOURCE / "tests" / "mount"))

from harness import Skip  # noqa: E402


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"no {program} here")


def version():
    return re.search(r"version: '([^']+)'", (SOURCE / "meson.build").read_text())[1]


def files_below(directory):
    """All but directories, as if the directory were the root."""
    return {f"{os.sep}{path.relative_to(directory)}" for path in directory.rglob("*")
            if path.is_symlink() or not path.is_dir()}
