"""The command line: python3 -m sandbox COMMAND."""

# An old Python must get as far as the line that says so: no newer syntax in this file's top part.
import sys

if sys.version_info < (3, 10):  # noqa: UP036
    found = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    sys.stderr.write("error: this is Python " + found + "; the sandbox needs 3.10 or newer\n")
    sys.stderr.write("hint: install a newer one and type, as an example, ")
    sys.stderr.write("`python3.13 -m sandbox up`\n")
    sys.exit(2)

import gc

gc.disable()  # loading what talks to the account takes a fifth longer with it; a worker turns it on

from sandbox.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
