"""MiniStack as the account runs it, with one setting that it offers no other way to change."""

from ministack import app
from ministack.services import lambda_svc

# Seconds that an update is InProgress. With MiniStack's own 0.5, `aws lambda wait`, which asks at
# once and then each second, mostly came just too early and waited one more. Still there, so that a
# wait has a reason.
lambda_svc._LAMBDA_STATE_TRANSITION_DELAY = 0.1

if __name__ == "__main__":
    app.main()
