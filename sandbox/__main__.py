"""The command line: python3 -m sandbox COMMAND."""

# An old Python must get as far as the line that says so: this file and __init__.py, which it reads
# whole, are written in what Python 2.7 can read, too.
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    sys.stderr.write("error: this is Python " + found + "; the sandbox needs 3.10 or newer\n")
    sys.stderr.write("hint: install a newer one and type, as an example, ")
    sys.stderr.write("`python3.13 -m sandbox up`\n")
    sys.exit(2)

import os

# Whoever starts this puts the clone, or this folder, first on the import path. There, a file of the
# student's named like a module of the standard library would stand in for it, also for one that
# this system does not have. So both go before anything else is loaded.
HERE = os.path.dirname(os.path.realpath(__file__))
OURS = (HERE, os.path.dirname(HERE))
sys.path[:] = [path for path in sys.path if os.path.realpath(path or os.curdir) not in OURS]

import gc  # noqa: E402
import importlib.util  # noqa: E402
import runpy  # noqa: E402


def load_package():
    # type: () -> None
    """Load the package without the import path."""
    start = os.path.join(HERE, "__init__.py")
    spec = importlib.util.spec_from_file_location("sandbox", start)
    assert spec and spec.loader
    sys.modules["sandbox"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["sandbox"])


def enter_environment():
    # type: () -> None
    """Go on in the sandbox's own environment, if there is one, before anything is loaded twice.

    Whether it is the right one is asked there: see cli.enter.
    """
    venv = os.path.join(os.path.dirname(HERE), ".sandbox", "venv")
    python = os.path.join(venv, "bin", "python")
    is_there = os.path.exists(os.path.join(venv, "ready")) and os.access(python, os.X_OK)
    if is_there and os.path.realpath(sys.prefix) != venv:
        start = [python, "-I", os.path.join(HERE, "__main__.py")]
        os.execv(python, start + sys.argv[1:])


if __name__ == "__main__":
    enter_environment()
    if "sandbox" not in sys.modules:  # without -m
        load_package()
    if sys.argv[1:2] == ["-m"]:  # another program of ours, loaded the same way
        del sys.argv[:2]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        sys.exit()
    # Loading what talks to the account takes a fifth longer with it; a worker turns it on.
    gc.disable()
    from sandbox.cli import main

    sys.exit(main())
