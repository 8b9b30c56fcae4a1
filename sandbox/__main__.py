"""The command line: python3 -m sandbox COMMAND."""

# An old Python must get as far as the line that says so: no newer syntax in this file's top part.
import sys

if sys.version_info < (3, 10):
    sys.stderr.write("error: this is Python %d.%d; the sandbox needs 3.10 or newer\n" % sys.version_info[:2])
    sys.stderr.write("hint: install a newer one and type, for example, `python3.13 -m sandbox up`\n")
    sys.exit(2)

import gc

gc.disable()  # loading what talks to the account takes a fifth longer with it; build.work turns it on again

from sandbox.command import main

if __name__ == "__main__":
    sys.exit(main())
