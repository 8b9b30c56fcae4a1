"""The private names of MiniStack that the account needs: all of them, and nowhere else.

A private name may go with any release, so MiniStack is pinned, and a name that is gone stops the
account where this is imported: at its start, before anything listens. The name on the left is what
the rest of the account calls it by; `wrap` in wraps/ puts functions of ours in the place of some.
"""

from __future__ import annotations

from ministack import app
from ministack.core import iam_actions, iam_evaluator, persistence
from ministack.services import apigateway as http_apis
from ministack.services import cloudformation, cloudwatch_logs, codebuild, iam, lambda_svc, sts
from ministack.services.cloudformation import provisioners
from ministack.services.cloudformation import stacks as stack_operations

WRITTEN_FOR = "1.5.33"

credential_failure = app._credential_failure
authorization_type = app._execute_api_authorization_type
as_json = persistence._json_default

is_root_key = iam_evaluator._is_root_key
lambda_action = iam_actions._lambda_action

apis = http_apis._apis
match_route = http_apis._match_route
invoke_lambda_proxy = http_apis._invoke_lambda_proxy
stage_variables = http_apis._get_stage_variables

stacks = cloudformation._stacks
zip_inline = provisioners._zip_inline
provision = stack_operations._provision_keeping_seed

log_groups = cloudwatch_logs._log_groups
fan_out_log_events = cloudwatch_logs._fanout_to_subscription_filters

projects = codebuild._projects
handle_codebuild = codebuild._handle_request_sync

access_keys = iam._access_keys
create_user = iam._create_user
user_policies = iam._user_inline_policies
sessions = sts._sessions

functions = lambda_svc._functions
execute_function = lambda_svc._execute_function
dispatch_function = lambda_svc._execute_function_dispatch
schedule_state_transition = lambda_svc._schedule_state_transition
get_function = lambda_svc._get_function
prune_code = lambda_svc._prune_orphan_code_blobs
create_alias = lambda_svc._create_alias
update_alias = lambda_svc._update_alias
delete_alias = lambda_svc._delete_alias
layer_zip = lambda_svc._resolve_layer_zip
