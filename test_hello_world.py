import json

import pytest

from hello_user import hello_user_handler


def message_for(event):
    response = hello_user_handler(event, None)
    assert response["statusCode"] == 200
    assert response["headers"] == {"Content-Type": "application/json"}
    return json.loads(response["body"])


def http_api_event(raw_query, parameters):
    """Build the event of an HTTP API (payload format 2.0)."""
    event = {
        "version": "2.0",
        "routeKey": "GET /hello_user",
        "rawPath": "/default/hello_user",
        "rawQueryString": raw_query,
        "headers": {"accept": "*/*", "host": "example.execute-api.us-east-1.amazonaws.com"},
        "requestContext": {
            "http": {"method": "GET", "path": "/default/hello_user", "protocol": "HTTP/1.1"},
            "routeKey": "GET /hello_user",
            "stage": "default",
        },
        "isBase64Encoded": False,
    }
    if parameters is not None:
        event["queryStringParameters"] = parameters
    return event


def rest_api_event(parameters):
    """Build the event of a REST API (payload format 1.0)."""
    return {
        "resource": "/hello_user",
        "path": "/hello_user",
        "httpMethod": "GET",
        "headers": {"Accept": "*/*"},
        "queryStringParameters": parameters,
        "multiValueQueryStringParameters": parameters and {k: [v] for k, v in parameters.items()},
        "pathParameters": None,
        "requestContext": {"httpMethod": "GET", "path": "/default/hello_user", "stage": "default"},
        "body": None,
        "isBase64Encoded": False,
    }


def test_hello_user():
    event = {"queryStringParameters": {"user": "CI CD Developer"}}
    assert message_for(event) == {"message": "Hello CI CD Developer!"}


@pytest.mark.parametrize("event", [
    http_api_event("", None),
    http_api_event("user=", {"user": ""}),
    http_api_event("name=Ada", {"name": "Ada"}),
    rest_api_event(None),
    rest_api_event({"user": ""}),
], ids=["http-no-query", "http-empty", "http-other-key", "rest-null", "rest-empty"])
def test_hello_user_without_a_user(event):
    assert message_for(event) == {"message": "hello user"}


@pytest.mark.parametrize("user", [
    "Ada", "Zoë 你好 🚀", 'quote " and \\', "<b>bold</b> & more", "a,b", "line\nbreak",
])
def test_hello_user_with_any_text(user):
    expected = {"message": f"Hello {user}!"}
    assert message_for(rest_api_event({"user": user})) == expected
    assert message_for(http_api_event("user=…", {"user": user})) == expected
