"""API Gateway: what an HTTP API hands to a function, and what it makes of the answer.

The pages that are named below are of https://docs.aws.amazon.com/apigateway/latest/developerguide/
"""

from __future__ import annotations

import base64
import json
import os
import re
import time
from collections.abc import Mapping
from typing import Any

from ministack.core import iam_evaluator
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import get_account_id, get_region
from ministack.services import apigateway

from sandbox.account import function_limits, function_logs, internals
from sandbox.account.invocations import known_as, new_trace
from sandbox.account.wraps import wrap
from sandbox.account.wraps.awslambda import drawn, is_python, named

Answer = tuple[int, dict[str, Any], bytes]
# API, stage, path, method, headers, body, query, key of the route, parameters of the path.
Request = tuple[Any, ...]
TEXT = re.compile(r"text/|application/(json|xml|javascript)$")
# Headers of one connection, and the length of a body: the server knows them better.
NOT_TAKEN = {"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"}
HEADER = re.compile(r"[\w!#$%&'*+.^`|~-]+:[^\x00-\x08\x0a-\x1f\x7f]*", re.ASCII)


class Unusable(Exception):
    """Why an HTTP API cannot use what a function has answered."""


@wrap(internals.invoke_lambda_proxy)
async def function_answers_a_request(
    original: Any, integration: Mapping[str, Any], *request: Any, **options: Any
) -> Answer:
    """Invoke the function of an integration, if it lets this API, with an event of format 2.0.

    A request that an authorizer has let through is MiniStack's, with the event that it makes.
    See http-api-develop-integrations-lambda.html and http-api-troubleshooting-lambda.html
    """
    api, stage, _, method, _, _, _, route, _ = request
    uri = integration.get("integrationUri", "")
    arn = uri.partition("/functions/")[2].removesuffix("/invocations") or uri
    name, qualifier = named(arn)
    func = internals.functions.get(name)
    record = drawn(func, qualifier)[1]
    verb, _, place = route.partition(" ")
    where = f"{method.upper() if verb == 'ANY' else verb}{place}" if place else route
    if not record or not permits(func, arn, f"{api}/{stage}/{where}"):
        return refused(500, "Internal Server Error")
    let_through = any(value for key, value in options.items() if key.startswith("authorizer"))
    if let_through or not is_python(record):
        found: Answer = await original(integration, *request, **options)
        return found
    event = event_of(request, options.get("raw_query_string") or "")
    payload = json.dumps(event).encode()
    if len(payload) > function_limits.EVENT:
        return refused(413, "Request Entity Too Large")
    known = known_as(record, arn, event["headers"]["x-amzn-trace-id"])
    said = await run_reentrant(internals.execute_function, known, payload)
    answer = refused(500, "Internal Server Error")
    if said.get("throttle"):
        answer = refused(503, "Service Unavailable")
    elif not said["error"]:
        try:
            answer = answer_of(said["text"])
        except Unusable as why:  # on AWS it stands in the access log of a stage that has one
            group, stream = said["stream"]
            line = f"[ERROR] API Gateway cannot use this answer: {why}"
            function_logs.put(group, stream, (line,))
    answer[1]["apigw-requestid"] = event["requestContext"]["requestId"]
    return answer


def refused(status: int, message: str) -> Answer:
    """Return an error of API Gateway's own."""
    said = json.dumps({"message": message}, separators=(",", ":"))
    return status, {"Content-Type": "application/json"}, said.encode()


def permits(func: Any, arn: str, where: str) -> bool:
    """Tell whether the function's policy lets this API invoke it, for this stage and route."""
    account, region = get_account_id(), get_region()
    source = f"arn:aws:execute-api:{region}:{account}:{where}"
    known = {"aws:sourcearn": source, "aws:sourceaccount": account}
    who, action = ("", "AWSService", ""), "lambda:InvokeFunction"  # no principal, but a service
    context = iam_evaluator.EvalContext(*who, action, arn, region, service_context=known)
    service = "apigateway.amazonaws.com"
    found = iam_evaluator.evaluate_resource_policy(func["policy"], context, service)
    return bool(found.decision == "Allow")


def event_of(request: Request, raw_query: str) -> dict[str, Any]:
    """Return the event for a request; a key for what the request does not have is not there."""
    api, stage, path, method, headers, body, query, route, parameters = request
    if stage != "$default":
        path = f"/{stage}{path}"
    now, source, domain = time.time(), "127.0.0.1", f"{api}.execute-api.localhost"
    given = ({} if "transfer-encoding" in headers else {"content-length": "0"}) | {**headers}
    cookies = given.pop("cookie", "")
    given |= {
        "host": domain,
        "x-amzn-trace-id": new_trace(),
        "x-forwarded-for": ", ".join(filter(None, [given.get("x-forwarded-for"), source])),
        "x-forwarded-port": os.environ["GATEWAY_PORT"],
        "x-forwarded-proto": "http",
    }
    is_text = TEXT.match(given.get("content-type", "").split(";")[0].strip().lower())
    optional = {
        "cookies": [one.strip() for one in cookies.split(";")] if cookies else None,
        "queryStringParameters": {name: ",".join(query[name]) for name in query or ()},
        "pathParameters": parameters,
        "stageVariables": internals.stage_variables(api, stage),
        "body": body.decode(errors="replace") if is_text else base64.b64encode(body).decode(),
    }
    return {
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": dict(sorted(given.items())),
        "requestContext": {
            "accountId": get_account_id(),
            "apiId": api,
            "domainName": domain,
            "domainPrefix": api,
            "http": {
                "method": method.upper(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": source,
                "userAgent": given.get("user-agent", ""),
            },
            "requestId": base64.b64encode(os.urandom(11)).decode(),
            "routeKey": route,
            "stage": stage,
            "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
            "timeEpoch": int(1000 * now),
        },
        "isBase64Encoded": bool(body) and not is_text,
        **{key: value for key, value in optional.items() if value},
    }


def answer_of(text: bytes) -> Answer:
    """Return the answer that a function describes in format 2.0; raises Unusable."""
    try:
        said = json.loads(text)
    except ValueError:
        raise Unusable("it is no JSON") from None
    if not isinstance(said, dict) or "statusCode" not in said:
        plain = said.encode(errors="replace") if isinstance(said, str) else text
        return 200, {"Content-Type": "application/json"}, plain
    status, body, cookies = said["statusCode"], said.get("body"), said.get("cookies") or []
    if not re.fullmatch("[2-5][0-9][0-9]", str(status)):
        raise Unusable(f"statusCode is {json.dumps(status)}, no number from 200 to 599")
    if not isinstance(body, (str, type(None))):
        raise Unusable(f"body is a {type(body).__name__}, not text: json.dumps makes it one")
    content = (body or "").encode(errors="replace")
    if said.get("isBase64Encoded"):
        try:
            content = base64.b64decode(content, validate=True)
        except ValueError:
            raise Unusable("body is not base64, though isBase64Encoded says so") from None
    if not isinstance(cookies, list) or not all(isinstance(one, str) for one in cookies):
        raise Unusable("cookies is no list of texts")
    headers = headers_of(said.get("headers") or {}, cookies)
    return int(status), headers, b"" if int(status) in (204, 304) else content


def headers_of(said: Any, cookies: list[str]) -> dict[str, Any]:
    """Return the headers of an answer, a list where there are several; raises Unusable."""
    if not isinstance(said, dict):
        raise Unusable("headers is no object")
    found: dict[str, Any] = {} if cookies == [] else {"Set-Cookie": cookies}
    for name, value in said.items():
        text = value.strip() if isinstance(value, str) else json.dumps(value)
        if isinstance(value, (dict, list, type(None))) or not HEADER.fullmatch(f"{name}:{text}"):
            raise Unusable(f"the header {json.dumps(name)} is {json.dumps(value)}")
        if name.lower() == "set-cookie":
            found["Set-Cookie"] = [*found.get("Set-Cookie", ()), text]
        elif name.lower() not in NOT_TAKEN:
            found[name] = text
    if not all(HEADER.fullmatch(f"set-cookie:{cookie}") for cookie in cookies):
        raise Unusable("a cookie holds a control character")
    if not any(name.lower() == "content-type" for name in found):
        found["content-type"] = "text/plain;charset=UTF-8"
    return found


@wrap(apigateway.handle_execute)
async def preflight_is_answered_by_an_api_with_cors(
    original: Any, api: str, stage: str, path: str, method: str, *request: Any, **options: Any
) -> Answer:
    """Let a route that takes OPTIONS have it, if the API has no CORS configuration.

    MiniStack answers all OPTIONS itself, and knows of no options.
    See http-api-cors.html
    """
    own = (internals.apis.get(api) or {}).get("corsConfiguration")
    sent = method.lower() if method == "OPTIONS" and not own else method
    found: Answer = await original(api, stage, path, sent, *request, **options)
    return found


@wrap(internals.match_route)
def route_is_found_for_options_too(original: Any, api: str, method: str, path: str) -> Any:
    """Match the method as the API's routes name it."""
    return original(api, method.upper(), path)
