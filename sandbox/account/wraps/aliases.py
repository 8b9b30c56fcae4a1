"""Lambda: what an alias may be, and who has made it so."""

from __future__ import annotations

import copy
import re
import time
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.responses import error_response_json

from sandbox.account import function_limits, internals, keys
from sandbox.account.wraps import wrap
from sandbox.account.wraps.awslambda import OVER_HTTP

GREEN = " (green)"  # marks a build that has ended so
MOVES = 100  # of an alias, which are noted


def refusal(name: str, data: dict[str, Any]) -> function_limits.Refusal | None:
    """Return why an alias may not be so, or None.

    It names versions that are there, and routes to at most one other, which is not $LATEST, a
    share from 0 to 1 of the requests:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html
    """
    func = internals.functions.get(name)
    if func is None:
        return None
    shares = (data.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    if not all(type(share) in (int, float) and 0 <= share <= 1 for share in shares.values()):
        return function_limits.invalid(
            f"Value '{shares}' at 'routingConfig.additionalVersionWeights'",
            "Map value must satisfy constraint: [Member must have value less than or equal to "
            "1.0, Member must have value greater than or equal to 0.0]",
        )
    for version in filter(None, [data.get("FunctionVersion"), *shares]):
        if version != "$LATEST" and version not in func["versions"]:
            text = f"Function not found: {func['config']['FunctionArn']}:{version}"
            return "ResourceNotFoundException", text, 404
    if shares and (len(shares) > 1 or "$LATEST" in (data.get("FunctionVersion"), *shares)):
        text = "An alias routes to one additional version, and to no $LATEST"
        return "InvalidParameterValueException", text, 400
    return None


@wrap(internals.create_alias)
@wrap(internals.update_alias)
@wrap(internals.delete_alias)
def change_of_an_alias_is_looked_at(original: Any, name: str, *given: Any) -> Any:
    """Refuse of an alias what Lambda refuses, and note who has left it how: what undoes it later.

    `given` are an alias's name, unless it is a new one, and what it is to be, unless it goes.
    """
    data = given[-1] if isinstance(given[-1], dict) else {}
    alias = data.get("Name", "") if given[0] is data else given[0]
    if why := refusal(name, data):
        return error_response_json(*why)
    func = internals.functions.get(name) or {"aliases": {}}
    before = copy.deepcopy(func["aliases"].get(alias))
    answer = original(name, *given)
    if answer[0] < 300:
        by = re.split("[:/]", iam_evaluator.caller_arn())[-1] if OVER_HTTP.get() else keys.ROOT
        moves = func.setdefault("moves", {}).setdefault(alias, [])
        if not moves or moves[-1]["alias"] != before:
            moves.append({"by": "", "alias": before})
        if moves[-1]["by"] == by:
            moves.pop()  # only what somebody leaves matters
        now = copy.deepcopy(func["aliases"].get(alias))
        moves.append({"by": by, "at": time.time(), "alias": now})
        del moves[:-MOVES]
    return answer


def settle(by: str, alias: str) -> str | None:
    """Let what a green build has done to aliases stay; return the version that one was moved to."""
    version = None
    for func in internals.functions.values():
        for name, moves in func.get("moves", {}).items():
            for move in moves:
                if move["by"] == by:
                    move["by"] += GREEN
                    if name == alias and move["alias"]:
                        version = str(move["alias"]["FunctionVersion"])
    return version


def take_back_builds() -> None:
    """Take back what builds have done that have not ended: nothing of them runs any more."""
    moved = [func.get("moves", {}).values() for func in internals.functions.values()]
    for by in {move["by"] for aliases in moved for moves in aliases for move in moves}:
        if by.startswith("AWSCodeBuild-") and not by.endswith(GREEN):
            take_back(by)


def take_back(by: str) -> list[dict[str, Any]]:
    """Take back what somebody has done to aliases; what others have done since stands.

    Return what was taken back, as GetAlias would have it.
    """
    taken = []
    for func in internals.functions.values():
        for alias, moves in func.get("moves", {}).items():
            kept = [move for move in moves if move["by"].removesuffix(GREEN) != by]
            if len(kept) < len(moves):
                now, then = func["aliases"].pop(alias, None), kept[-1]["alias"]
                if now != then:
                    taken.append(now or {"Name": alias})
                if then and now and by == keys.ROOT:
                    then["Description"] = now["Description"]  # it moves nothing
                if then:
                    func["aliases"][alias] = copy.deepcopy(then)
                moves[:] = kept
    return taken
