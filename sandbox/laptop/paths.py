"""Where everything is: the clone, the folder .sandbox/ in it, and the place where builds work."""

import hashlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "sandbox" / "__main__.py"
TEMPLATE = ROOT / "template.yml"
REQUIREMENTS = ROOT / "sandbox" / "requirements.txt"
TEST_REQUIREMENTS = ROOT / "sandbox" / "requirements-test.txt"
STUDENTS_REQUIREMENTS = ROOT / "requirements.txt"

FOLDER = ROOT / ".sandbox"
VENV = FOLDER / "venv"
PYTHON = VENV / "bin" / "python"
STUDENTS_VENV = FOLDER / "students-venv"  # in which the student's own tests run
ACCOUNT = FOLDER / "account"
FORK = FOLDER / "fork.git"
BUILDS = FOLDER / "builds"
PACKAGES = FOLDER / "packages"  # the Python environments of builds
PROGRAMS = FOLDER / "bin"  # `aws` and what else a build finds beside Python
# What `up` makes anew, and the account with it, where something else is.
FOLDERS = (
    *(FOLDER, ACCOUNT, ACCOUNT / "home", ACCOUNT / "tmp", ACCOUNT / "state"),
    *(ACCOUNT / "state" / "lambda-blobs", ACCOUNT / "tmp" / "environments", BUILDS),
)


def cache() -> Path:
    """Return the folder of what uv and pip have downloaded, for all clones; `down` leaves it.

    Below .sandbox/ where there is no home to write to.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # https://specifications.freedesktop.org/basedir/latest/
        base = os.path.expanduser("~/Library/Caches" if sys.platform == "darwin" else "~/.cache")
    try:
        os.makedirs(folder := Path(base) / "hello-user", mode=0o700, exist_ok=True)
    except OSError:
        return FOLDER / "cache"
    return folder if os.access(folder, os.W_OK) else FOLDER / "cache"


def outside(root: Path) -> Path:
    """Return a folder of a clone's own in the system's temporary place.

    On AWS nothing of anybody's is above a checkout, where pytest, Node and others look for their
    settings, and no path has a blank. On a disk if there is one: /tmp is often held in memory.
    """
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    for parent in map(os.path.realpath, ("/var/tmp", "/tmp")):
        if os.access(parent, os.W_OK | os.X_OK) and runs_programs(parent):
            return Path(parent) / f"codebuild-{os.getuid()}-{name}"
    return root / FOLDER.name / "outside"


def runs_programs(folder: str | Path) -> bool:
    """Tell whether the disk that a folder is on is mounted so that its programs can run."""
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)


OUTSIDE = outside(ROOT)
CODEBUILD = OUTSIDE / "machine"  # where a build works; on AWS /codebuild
