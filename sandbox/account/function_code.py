"""The files of a function: its code, unpacked, and the packages that Lambda gives it."""

from __future__ import annotations

import compileall
import importlib.util
import io
import os
import stat
import tempfile
import zipfile
from pathlib import Path

from sandbox.laptop.files import delete

HOME = Path(tempfile.gettempdir()).resolve() / "environments"  # one folder for each environment
PACKAGES = HOME / "runtime"
# What Lambda's Python runtimes hold beside Python itself: the SDK, and what runs the handler.
NAMES = (
    *("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3"),
    *("awslambdaric", "simplejson", "snapshot_restore_py"),
)


def make_home() -> None:
    """Make HOME with PACKAGES in it, and remove what an account that was killed has left there."""
    delete(HOME)
    PACKAGES.mkdir(parents=True)
    for name in NAMES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (PACKAGES / (name if source.is_dir() else source.name)).symlink_to(source)
            if name in ("awslambdaric", "simplejson"):  # a third of a cold start, for each function
                compileall.compile_dir(source, quiet=2)


def unpack(content: bytes, folder: Path) -> None:
    """Unpack a zip as Lambda does, where a function is not the owner of its files.

    Links come last, so that no file is written through one.
    https://docs.aws.amazon.com/lambda/latest/dg/python-package.html
    """
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(content)) as code:
        entries = [
            (code.extract(entry, folder), entry.external_attr >> 16) for entry in code.infolist()
        ]
    for path, mode in reversed(entries):
        if stat.S_ISLNK(mode):
            target = Path(path).read_bytes()
            os.unlink(path)
            os.symlink(target, os.fsencode(path))
        elif mode & 0o777:  # a zip may say none
            os.chmod(path, (mode & 0o007) * 0o111)
