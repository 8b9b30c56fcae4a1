"""The programs of a build's machine beside Python: what CodeBuild's image has, as far as needed."""

from __future__ import annotations

import shlex
from pathlib import Path

from sandbox.fork.repository import HELPER
from sandbox.laptop.files import write_programs
from sandbox.laptop.paths import FORK, PYTHON

# CodeBuild's images have the AWS CLI in version 2, PyPI has version 1. Of the options that only
# version 2 knows, these ask for what version 1 does anyway, and are dropped.
AWS = """\
#!/bin/sh
left=$#
while [ "$left" -gt 0 ]; do
  case $1 in
    --no-cli-pager | --no-cli-auto-prompt | --cli-binary-format=raw-in-base64-out) ;;
    --cli-binary-format)
      case ${{2-}} in
        raw-in-base64-out) shift && left=$((left - 1)) ;;
        *) set -- "$@" "$1" ;;
      esac
      ;;
    *) set -- "$@" "$1" ;;
  esac
  shift
  left=$((left - 1))
done
exec {python} -I -m awscli "$@"
"""
# The checkout's remote has the name that it has on AWS, and git asks this program instead.
# https://git-scm.com/docs/gitremote-helpers
REMOTE = """\
#!/bin/sh
while read -r command; do
  case $command in
    capabilities) printf 'connect\\n\\n' ;;
    "connect git-upload-pack") echo && exec git -c 'safe.directory=*' upload-pack {fork} ;;
    connect*)
      echo "fatal: a build here has no credentials to push with" >&2
      exit 128
      ;;
  esac
done
"""


def make(folder: Path) -> None:
    """See to it that the programs are in a folder, as we know them, and nothing else."""
    python, fork = shlex.quote(str(PYTHON)), shlex.quote(str(FORK))
    remote = f"git-remote-{HELPER}"
    programs = {"aws": AWS.format(python=python), remote: REMOTE.format(fork=fork)}
    write_programs(folder, programs)
