"""Where everything is: the clone, and the folder .sandbox/ in it."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "sandbox" / "__main__.py"
TEMPLATE = ROOT / "template.yml"
REQUIREMENTS = ROOT / "sandbox" / "requirements.txt"
TEST_REQUIREMENTS = ROOT / "sandbox" / "requirements-test.txt"

FOLDER = ROOT / ".sandbox"
VENV = FOLDER / "venv"
PYTHON = VENV / "bin" / "python"
ACCOUNT = FOLDER / "account"
FORK = FOLDER / "fork.git"
BUILDS = FOLDER / "builds"
RELEASES = FOLDER / "releases"
IMAGE = FOLDER / "image"  # what a build's machine has beside its own environment
CODEBUILD = FOLDER / "codebuild"  # where a build works; on AWS /codebuild
TRASH = FOLDER / "trash"
CACHE = FOLDER / "cache"  # of uv and pip, so that `down` leaves nothing in the student's home
