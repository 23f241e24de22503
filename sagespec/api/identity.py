"""Who the caller is, to programs that ask: one role of one account, which may do everything here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote

from sagespec.api.service import ROLE, Operation, Request, Result, Service

_CREATED_AT = datetime(2026, 1, 1, tzinfo=UTC)
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


def get_caller_identity(service: Service, _request: Request) -> Result:
    # An assumed role: SDKs take the role to train with from its name, and refuse users.
    arn = f"arn:aws:sts::{service.account}:assumed-role/{ROLE}/local"
    return {"UserId": f"AROASAGESPEC:{ROLE}", "Account": service.account, "Arn": arn}


def get_role(service: Service, request: Request) -> Result:
    # Whatever its name, since notebooks come with roles of their own: nothing here depends on them.
    role = {
        "Path": "/",
        "RoleName": request["RoleName"],
        "RoleId": "AROASAGESPEC",
        "Arn": f"arn:aws:iam::{service.account}:role/{request['RoleName']}",
        "CreateDate": _CREATED_AT,
        "AssumeRolePolicyDocument": quote(json.dumps(_TRUST)),
        "MaxSessionDuration": 3600,
    }
    return {"Role": role}


def simulate_principal_policy(_service: Service, request: Request) -> Result:
    resources = request.get("ResourceArns") or ["*"]
    results = [
        {"EvalActionName": action, "EvalResourceName": resource, "EvalDecision": "allowed"}
        for action in request["ActionNames"]
        for resource in resources
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


STS: Mapping[str, Operation] = {"GetCallerIdentity": get_caller_identity}
IAM: Mapping[str, Operation] = {"GetRole": get_role, "SimulatePrincipalPolicy": simulate_principal_policy}
