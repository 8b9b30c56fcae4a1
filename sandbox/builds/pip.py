"""The `pip` of a build: uv or the spare packages first, where pip could not answer otherwise.

Then, always, pip itself runs with the same arguments: it has the last word, and its messages and
exit status are the build's.
"""

import contextlib
import os
import sys
from pathlib import Path

from sandbox.builds import packages, pins

# As the script `pip` that pip installs: the build's directory is not on the import path.
RUN = """\
import sys
if sys.path[:1] == [""]:
    del sys.path[0]
sys.argv[0] = "pip"
from pip._internal.cli.main import main
sys.exit(main())
"""


def pip(folder: Path, program: Path, arguments: list[str]) -> None:
    """Be `program`, the pip of a build; `folder` holds what that needs to know."""
    venv = program.parent.parent
    # Whatever goes wrong here, pip below does it all, and says so.
    with contextlib.suppress(OSError, ValueError, StopIteration, KeyError):
        wanted = pins.pins(arguments[1:], Path.cwd()) if arguments[:1] == ["install"] else ""
        registry = packages.registry_of_build(folder)
        if wanted and not pins.has_settings(os.environ, venv, registry):
            packages.fill(folder, venv, wanted, registry)
    python = str(venv / "bin" / "python")
    # Whether there is a newer pip is asked of the network, for up to five seconds if there is none.
    os.environ.setdefault("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    os.execv(python, [python, "-c", RUN, *arguments])


if __name__ == "__main__":
    pip(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
