"""Artifacts: what a project with a place in S3 would upload, and what fails its build.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.artifacts
"""

import pytest

from sandbox.codebuild.buildspec import BuildspecError
from sandbox.codebuild.reader import read

S3 = {"artifacts": "bucket/path/hello_user"}
SPEC = """\
version: 0.2
phases:
  build:
    commands: [mkdir -p dist/deep other, touch dist/a.js dist/b.tmp dist/deep/c.js other/d.js]
artifacts:
"""


def test_artifacts_for_s3_are_named_and_not_uploaded(run_build):
    text = SPEC + "  files: ['**/*']\n  base-directory: dist\n  exclude-paths: ['*.tmp']\n"
    found = run_build(text, S3)
    assert found.status == "SUCCEEDED"
    said = "[sandbox] artifacts: 2 file(s) would go to s3://bucket/path/hello_user: a.js, deep/c.js"
    assert said in found.text.splitlines()
    assert "artifacts: 2" not in run_build(text).text  # the project has none


@pytest.mark.parametrize(
    "artifacts, said",
    [
        ("  files: dist/none.js\n", "no matching artifact paths found"),
        ("  files: ['**/*']\n  exclude-paths: ['**/*']\n", "no matching artifact paths found"),
        (
            "  files: x\n  base-directory: cdk.out\n",
            "no matching base directory path found for cdk.out",
        ),
    ],
)
def test_artifacts_that_are_not_there_fail_the_build(run_build, artifacts, said):
    """See aws-samples/amazon-ecs-fargate-cdk-cicd#13."""
    found = run_build(SPEC + artifacts, S3)
    assert (found.status, found.reason) == ("FAILED in UPLOAD_ARTIFACTS", said)
    assert f"[Container] Phase context status code: CLIENT_ERROR Message: {said}\n" in found.text
    assert run_build(SPEC + artifacts).status == "SUCCEEDED"


def test_artifacts_that_the_role_may_not_upload_fail_the_build(run_build):
    found = run_build(SPEC + "  files: dist/a.js\n", S3, denied=["s3:PutObject"])
    assert found.reason == "Error in UPLOAD_ARTIFACTS phase: AccessDenied: Access Denied"
    assert "BuildRole" in found.hint


def test_artifacts_that_the_buildspec_does_not_name_are_told(run_build):
    found = run_build(SPEC.replace("artifacts:\n", ""), S3)
    assert "artifacts: the buildspec names none, though the project has bucket/" in found.text


@pytest.mark.parametrize(
    "text, line",
    [
        ("artifacts: dist", 3),
        ("artifacts: [dist]", 3),
        ("artifacts:\n  files: {a: b}", 4),
        ("artifacts:\n  files: [x]\n  base-directory: [dist]", 5),
        ("cache: node_modules", 3),
        ("cache: [node_modules]", 3),
        ("cache:\n  paths: {a: b}", 4),
    ],
)
def test_artifacts_and_cache_of_a_wrong_type_are_refused(text, line):
    with pytest.raises(BuildspecError, match="wrong number of container tags") as error:
        read(f"version: 0.2\nphases: {{build: {{commands: x}}}}\n{text}\n".encode())
    assert error.value.line == line


def test_properties_that_are_passed_over_are_in_the_log(run_build):
    found = run_build(SPEC.replace("artifacts:\n", ""), {"passed_over": ["Cache", "VpcConfig"]})
    assert "[sandbox] the project's Cache, VpcConfig: passed over here, not on AWS" in found.text
