"""API Gateway: what an HTTP API hands to a function, and what it makes of the answer.

The pages that are named below are of https://docs.aws.amazon.com/apigateway/latest/developerguide/
"""

from __future__ import annotations

import base64
import contextvars
import json
import os
import time
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import lambda_svc

from sandbox.account import environments, internals
from sandbox.account.wraps import wrap
from sandbox.account.wraps.awslambda import version_for

JSON = {"Content-Type": "application/json"}
SERVER_ERROR = {"statusCode": 500, "headers": JSON, "body": '{"message":"Internal Server Error"}'}
# The id of the request that an HTTP API is handing to a function.
REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="")


def server_error() -> Any:
    """Return what an HTTP API answers when a function or its permission fails."""
    return 500, dict(JSON), SERVER_ERROR["body"].encode()  # type: ignore[attr-defined]


@wrap(internals.invoke_lambda_proxy)
async def request_has_one_id(original: Any, *request: Any, **options: Any) -> Any:
    """Give the answer the id that the event has.

    See http-api-logging-variables.html
    """
    REQUEST.set(base64.b64encode(os.urandom(11)).decode())
    status, headers, body = await original(*request, **options)
    return status, {**headers, "apigw-requestid": REQUEST.get()}, body


@wrap(internals.invoke_lambda_proxy)
async def weighted_alias_shares_its_requests(
    original: Any, integration: dict[str, Any], *request: Any, **options: Any
) -> Any:
    """Hand requests to the versions of an alias in the proportion of its weights.

    https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
    """
    arn = internals.lambda_of_integration(integration.get("integrationUri", ""))
    name, qualifier = internals.name_and_qualifier(arn)
    drawn = version_for(internals.functions.get(name), qualifier)
    environments.INVOKED.set(arn if qualifier else "")
    if drawn != qualifier:
        integration = {
            **integration,
            "integrationUri": arn.removesuffix(f":{qualifier}") + f":{drawn}",
        }
    return await original(integration, *request, **options)


@wrap(internals.invoke_lambda_proxy)
async def function_must_permit_the_api(
    original: Any,
    integration: dict[str, Any],
    api: str,
    stage: str,
    path: str,
    method: str,
    headers: Any,
    body: bytes,
    query: Any,
    route: str = "$default",
    *request: Any,
    **options: Any,
) -> Any:
    """Answer 500 unless the function's policy lets this API invoke it.

    See http-api-troubleshooting-lambda.html
    """
    arn = internals.lambda_of_integration(integration.get("integrationUri", ""))
    func = internals.functions.get(internals.name_and_qualifier(arn)[0])
    account, region = lambda_svc.get_account_id(), lambda_svc.get_region()
    verb, _, place = route.partition(" ")
    end = f"{method if verb == 'ANY' else verb}{place}" if place else route
    context = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="AWSService",
        principal_account="",
        action="lambda:InvokeFunction",
        resource_arn=arn,
        region=region,
        service_context={
            "aws:sourcearn": f"arn:aws:execute-api:{region}:{account}:{api}/{stage}/{end}",
            "aws:sourceaccount": account,
        },
    )
    if (
        func is None
        or iam_evaluator.evaluate_resource_policy(
            func["policy"], context, "apigateway.amazonaws.com"
        ).decision
        != "Allow"
    ):
        return server_error()
    return await original(
        integration, api, stage, path, method, headers, body, query, route, *request, **options
    )


@wrap(internals.execute_function_in_scope)
def event_has_payload_format_2(original: Any, func: dict[str, Any], event: dict[str, Any]) -> Any:
    """Hand on the event that an HTTP API makes; MiniStack leaves out and adds some keys.

    See http-api-develop-integrations-lambda.html
    """
    if not REQUEST.get():
        return original(func, event)
    context = dict(event["requestContext"])
    path = (
        event["rawPath"]
        if context["stage"] == "$default"
        else f"/{context['stage']}{event['rawPath']}"
    )
    source, trace = context["http"]["sourceIp"], environments.new_trace()
    environments.TRACE.set(trace)
    headers = {
        "content-length": "0",
        **event["headers"],
        "host": context["domainName"],
        "x-amzn-trace-id": trace,
        "x-forwarded-port": os.environ["GATEWAY_PORT"],
        "x-forwarded-proto": "http",
    }
    headers["x-forwarded-for"] = ", ".join(filter(None, [headers.get("x-forwarded-for"), source]))
    cookies = headers.pop("cookie", "")
    context.update(
        domainPrefix=context["apiId"],
        requestId=REQUEST.get(),
        http={**context["http"], "path": path},
        time=time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(context["timeEpoch"] / 1000)),
    )
    event = {
        **event,
        "rawPath": path,
        "headers": dict(sorted(headers.items())),
        "requestContext": context,
    }
    if cookies:
        event["cookies"] = [one.strip() for one in cookies.split(";")]
    variables = internals.stage_variables(context["apiId"], context["stage"])
    if variables:
        event["stageVariables"] = variables
    if not event.get("pathParameters"):
        event.pop("pathParameters", None)
    return original(func, event)


@wrap(lambda_svc.lambda_execute_result_to_api_proxy_response)
def answer_is_made_of_what_a_function_returns(original: Any, result: dict[str, Any]) -> Any:
    """Answer 500 for a function that fails or answers nonsense; call a text without a type text.

    See http-api-develop-integrations-lambda.html
    """
    if not REQUEST.get() or result.get("throttle"):
        return original(result)
    if result.get("error"):
        return SERVER_ERROR, None
    payload = result.get("body")
    if not isinstance(payload, dict) or "statusCode" not in payload:
        text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
        return {"statusCode": 200, "headers": JSON, "body": text}, None
    headers, body, status = (
        payload.get("headers") or {},
        payload.get("body", ""),
        payload["statusCode"],
    )
    if not (
        isinstance(headers, dict)
        and isinstance(body, (str, type(None)))
        and str(status).isdecimal()
        and 100 <= int(status) <= 599
    ):
        return SERVER_ERROR, None
    if not any(name.lower() == "content-type" for name in headers):
        headers = {**headers, "content-type": "text/plain;charset=UTF-8"}
    return {**payload, "statusCode": int(status), "headers": headers, "body": body or ""}, None


@wrap(internals.cors_preflight_response)
def preflight_without_cors_is_not_found(original: Any, configuration: Any, origin: str) -> Any:
    """Answer 404 to OPTIONS if the API has no CORS configuration; MiniStack answers 403.

    A route for OPTIONS of the API's own is not reached, neither here nor with MiniStack alone.
    See http-api-cors.html
    """
    return original(configuration, origin) if configuration else internals.api_not_found()
