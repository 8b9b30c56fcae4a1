"""What a push costs, and what the same costs otherwise."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import yaml

from sandbox.dev.student import Student
from sandbox.laptop.network import direct
from sandbox.laptop.paths import VENV
from sandbox.laptop.terminal import say

# A function in the way of `sam`, with the same handler behind the same kind of endpoint.
SAM = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - {Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}
  Function:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: by_sam, Handler: hello_user.hello_user_handler, Runtime: python3.13,
                 Role: !GetAtt Role.Arn, Code: src/}
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: by_sam, ProtocolType: HTTP}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Function.Arn,
                 PayloadFormatVersion: "2.0"}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: GET /hello_user,
                 Target: !Sub "integrations/${Integration}"}
  Stage:
    Type: AWS::ApiGatewayV2::Stage
    Properties: {ApiId: !Ref Api, StageName: default, AutoDeploy: true}
  Permission:
    Type: AWS::Lambda::Permission
    Properties: {FunctionName: !Ref Function, Action: "lambda:InvokeFunction",
                 Principal: apigateway.amazonaws.com,
                 SourceArn: !Sub "arn:aws:execute-api:${AWS::Region}:${AWS::AccountId}:${Api}/*"}
Outputs:
  Api: {Value: !Ref Api}
"""


def answer(url: str) -> str:
    with contextlib.suppress(OSError, ValueError), direct().open(url, timeout=30) as reply:
        return str(json.load(reply)["message"])
    return ""


def seconds_until(url: str, wanted: str, action: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds until the endpoint gives the wanted answer, and to the action's end."""
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        while answer(url) != wanted:
            if time.perf_counter() - start > 300 or (done.done() and done.exception()):
                cause = done.exception(timeout=0)
                raise RuntimeError(f"{url} never answered {wanted!r}") from cause
            time.sleep(0.05)
        live = time.perf_counter() - start
        done.result()
    return live, time.perf_counter() - start


def timed(action: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    os.sync()  # what was written before is not this one's to wait for
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def pushes(clone: Student, url: str, runs: int) -> dict[str, Any]:
    """Measure a push against the same commands in a plain shell, in turn; then a red push."""
    say("Push → live, and the floor: the same commands in a ready environment")
    venv = clone.clone.parent / "floor"
    clone.type(VENV / "bin" / "uv", "venv", "-q", "--seed", venv)
    clone.type(venv / "bin" / "pip", "install", "-q", "-r", "requirements.txt")
    spec = yaml.safe_load((clone.clone / "buildspec.yml").read_text())
    script = "set -e\n" + "\n".join(
        command
        for phase in ("pre_build", "build", "post_build")
        for command in spec["phases"][phase]["commands"]
    )
    env = clone.aws_environment() | spec["env"]["variables"]
    env |= {
        "PATH": f"{venv}/bin:{env['PATH']}",
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_RESOLVED_SOURCE_VERSION": "floor",
    }
    taken: dict[str, list[tuple[float, float]]] = {"floor": [], "push": [], "push at once": []}
    # Compiles what the floor needs, as a ready environment has it.
    clone.type("sh", "-c", script, env=env)
    install_and_test = "pip install -q -r requirements.txt; pytest -q"
    red, tested = [], []
    for _ in range(runs):
        clone.settle()
        right, wrong = '== {"message": "', '== {"message": "not '
        clone.edit("test_hello_world.py", right, wrong)
        clone.git("commit", "-qam", "Red")
        tested.append(timed(lambda: clone.type("sh", "-c", install_and_test, env=env, code=1)))
        red.append(timed(lambda: clone.git("push", "-q", "sandbox")))
        clone.edit("test_hello_world.py", wrong, right)
        clone.settle()
        wanted = clone.change()
        taken["floor"].append(
            seconds_until(url, wanted, lambda: clone.type("sh", "-c", script, env=env))
        )
        for kind in ("push", "push at once"):
            if kind == "push":
                clone.settle()
            wanted = clone.change()
            clone.git("commit", "-qam", wanted)
            taken[kind].append(
                seconds_until(url, wanted, lambda: clone.git("push", "-q", "sandbox"))
            )
    return {kind: [live for live, _ in times] for kind, times in taken.items()} | {
        "red push": red,
        "pip install and pytest": tested,
    }


def by_sam(clone: Student, runs: int) -> dict[str, Any]:
    """Measure the same change with sam build && sam deploy, if sam is on this machine."""
    if not shutil.which("sam"):
        return {"sam": []}
    say("sam build && sam deploy")
    folder = clone.clone.parent / "sam"
    (folder / "src").mkdir(parents=True)
    (folder / "template.yaml").write_text(SAM)
    shutil.copy(clone.clone / "hello_user.py", folder / "src")
    env = clone.aws_environment() | {"SAM_CLI_TELEMETRY": "0"}
    command = (
        "sam build -t template.yaml >/dev/null && "
        "sam deploy --stack-name by-sam --s3-bucket by-sam --capabilities CAPABILITY_IAM "
        "--no-confirm-changeset --no-progressbar >/dev/null"
    )
    # sam's own bucket needs a transform that MiniStack lacks.
    clone.type("aws", "s3", "mb", "s3://by-sam", env=env)
    clone.type("sh", "-c", command, cwd=folder, env=env)
    query = ["--query", "Stacks[0].Outputs[0].OutputValue", "--output", "text"]
    describe = ["aws", "cloudformation", "describe-stacks", "--stack-name", "by-sam", *query]
    api = clone.type(*describe, env=env).stdout.strip()
    url = f"{env['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}/default/hello_user"
    taken, beside = [], []
    push_url = clone.url()
    for _ in range(runs):
        clone.settle()
        wanted = clone.change()
        shutil.copy(clone.clone / "hello_user.py", folder / "src")
        taken.append(
            seconds_until(url, wanted, lambda: clone.type("sh", "-c", command, cwd=folder, env=env))
        )
        clone.settle()
        wanted = clone.change()
        clone.git("commit", "-qam", wanted)
        beside.append(seconds_until(push_url, wanted, lambda: clone.git("push", "-q", "sandbox")))
    both = (("sam", taken), ("push beside sam", beside))
    return {
        f"{kind}{until}": [pair[place] for pair in times]
        for kind, times in both
        for place, until in ((0, ""), (1, ", to its end"))
    }
