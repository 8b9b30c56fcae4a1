"""The programs of a build's machine beside Python: what CodeBuild's image has, as far as needed."""

from __future__ import annotations

import shlex
from pathlib import Path

from sandbox.laptop.files import write_programs
from sandbox.laptop.processes import AWS_CLI

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
exec {aws} "$@"
"""


def make(folder: Path) -> None:
    """See to it that the programs are in a folder, as we know them, and nothing else."""
    write_programs(folder, {"aws": AWS.format(aws=shlex.join(AWS_CLI))})
