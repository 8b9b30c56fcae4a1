import json


def hello_user_handler(event, context):
    """Greet the user that an API Gateway event names."""
    user = (event.get("queryStringParameters") or {}).get("user")
    message = f"Hello {user}!" if user else "hello user"
    return {
        "statusCode": 200,
        "headers": {"Content-Type": "application/json"},
        "body": json.dumps({"message": message}),
    }
