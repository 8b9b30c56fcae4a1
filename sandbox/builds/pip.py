"""What a `pip` of a build starts before it loads anything: see HOOK in packages.py.

It brings what pip is asked for into the environment, if pip could not answer otherwise. Then pip
itself runs: it has the last word, and its messages and exit status are the build's.
"""

import contextlib
import os
import sys
from pathlib import Path

from sandbox.builds import packages
from sandbox.builds.requirements import has_settings, wanted_by


def answer(arguments: list[str]) -> int:
    """Return packages.TURNED if the pip is to start again, for the build's link leads elsewhere."""
    # Whatever goes wrong here, pip does it all, and says so.
    with contextlib.suppress(Exception):
        wanted = wanted_by(arguments, Path.cwd())
        plain = not has_settings(os.environ, packages.LINK, packages.registry())
        if wanted and plain and packages.bring(wanted):
            return packages.TURNED
    return 0


if __name__ == "__main__":
    sys.exit(answer(sys.argv[1:]))
