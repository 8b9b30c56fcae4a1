"""A slip of the hand in a buildspec changes nothing, or is an error or a note."""

import os
from pathlib import Path

import pytest
import yaml

from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.check import check

OWN = (Path(__file__).parents[3] / "buildspec.yml").read_text(encoding="utf-8")
LONG = """\
version: 0.2
env:
  shell: bash
  variables:
    STAGE: "dev"
    PORT: 8080
  exported-variables:
    - TAG
    - STAGE
phases:
  install:
    on-failure: ABORT
    runtime-versions:
      python: latest
    commands:
      - pip install -r requirements.txt
      - 'echo "installed: yes"'
    finally:
      - echo done
  build:
    commands:
      - cd src
      - |
        if test -f setup.py; then
          echo "there is one"
        fi
      - echo "built in $PWD" &&
        ls -l
      - make all
  post_build:
    commands:
      - TAG=$(git rev-parse HEAD)
artifacts:
  files:
    - '**/*'
    - README.md
  base-directory: dist
"""
FLAT = """\
---
version: "0.2"
phases:
  pre_build:
    commands:
    - npm ci
    - 'npm test'
  build:
    commands:
    - >-
      npm run build
      --if-present
    - zip -r code.zip .
cache:
  paths:
  - node_modules/**/*
  - .cache
"""
BASES = {"own": OWN, "long": LONG, "flat": FLAT}


def outer_quotes(code):
    """Yield the columns of quotation marks; those within others are for another program to read."""
    opened = None
    for column, char in enumerate(code):
        if char in "'\"" and opened in (None, char):
            opened = None if opened else char
            yield column


def slips(text):
    """Yield each text with one line moved by a level, or one dash or quotation mark dropped."""
    lines = text.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        bare = line.lstrip(" ")
        changed = {"right": f"  {line}"}
        if line.startswith("  "):
            changed["left"] = line[2:]
        if bare.startswith("- "):
            changed["no-dash"] = line.replace("-", "", 1)
            changed["no-dash-and-no-blank"] = line.replace("- ", "", 1)
        for column in outer_quotes(line.split(" # ")[0]):
            changed[f"no-quote-{column}"] = line[:column] + line[column + 1 :]
        for kind, instead in changed.items():
            mutant = "".join([*lines[: number - 1], instead, *lines[number:]])
            yield f"{number}-{kind}", mutant


def told(text):
    """Return what a buildspec means, apart from blanks at the start of lines, and its notes."""
    spec = check(text.encode(), os.environ)
    scripts = [[line.strip() for line in command.split("\n")] for _, command in spec.scripts]
    phases = [(name, len(phase.commands), phase.on_failure) for name, phase in spec.phases.items()]
    means = (spec.version, spec.shell, spec.variables, spec.exported_variables, spec.runtimes)
    lists = [yaml.safe_load(text).get(section) for section in ("artifacts", "cache")]
    return (*means, phases, scripts, lists), {note for _, note in spec.notes}


SLIPS = [(base, name, text) for base in BASES for name, text in slips(BASES[base])]


@pytest.mark.parametrize("base, name, text", SLIPS, ids=["-".join(slip[:2]) for slip in SLIPS])
def test_slip_is_not_silent(base, name, text):
    meaning, notes = told(BASES[base])
    try:
        other, others = told(text)
    except BuildspecError as error:
        other, others = None, {error.hint}
    assert other == meaning or others - notes, name


@pytest.mark.parametrize("base", BASES)
def test_buildspec_without_a_slip_has_no_note_of_one(base):
    _, notes = told(BASES[base])
    assert not [note for note in notes if "part of this" in note or "cannot read" in note]
