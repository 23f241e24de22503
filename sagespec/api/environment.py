"""What a shell or a notebook needs so that clients made for AWS come here: `sagespec env` prints it.

Not all can be said in variables: SDK 2 and 3 take the bucket, the roles, and that they are not to report what is done
with them, from a file of defaults, which is written beside the key.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from sagespec.api.key import read_key
from sagespec.api.runtime import gateway_url
from sagespec.api.service import ACCOUNT, BUCKET, REGION, ROLE
from sagespec.documents.emit import emit
from sagespec.documents.files import is_ours, write
from sagespec.errors import WorldError, disk_problems
from sagespec.private import NAME
from sagespec.project import Project
from sagespec.web.places import place_of

_ROLE_ARN = f"arn:aws:iam::{ACCOUNT}:role/{ROLE}"
_RUNTIME = "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"
# Whatever else leads clients away from here, or gives them another key.
_MISLEADING = frozenset(
    {"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_FIPS_ENDPOINT"}
    | {"AWS_USE_DUALSTACK_ENDPOINT"}
)
_DEFAULTS = {
    "SchemaVersion": "1.0",
    "SageMaker": {
        "PythonSDK": {"Modules": {"TelemetryOptOut": True, "Session": {"DefaultS3Bucket": BUCKET}}},
        "TrainingJob": {"RoleArn": _ROLE_ARN},
        "Model": {"ExecutionRoleArn": _ROLE_ARN},
        "ProcessingJob": {"RoleArn": _ROLE_ARN},
    },
}


@dataclass(frozen=True)
class Environment:
    """variables: by name, in the order in which they are read best. unset: variables that must not be there."""

    variables: Mapping[str, str]
    unset: tuple[str, ...] = ()

    def over(self, environment: Mapping[str, str]) -> dict[str, str]:
        """`environment` with these in it."""
        kept = {name: value for name, value in environment.items() if name not in self.unset}
        return kept | dict(self.variables)


def environment_of(project: Project, present: Collection[str] = ()) -> Environment:
    """For clients of the project, whose control plane runs. present: the names of the variables that there are.

    Writes the file of defaults. WorldError when no control plane runs.
    """
    root, kept = project.root, project.parts.kept
    place, key = place_of(kept, "api"), read_key(kept)
    if place is None or key is None:
        raise WorldError(
            "the control plane of this project does not run",
            why="the variables lead clients to it, and it may have another port the next time",
            fix="start it in another terminal: `sagespec up`, or `sagespec api` without the dashboard",
        )
    variables = {
        "AWS_ENDPOINT_URL": place.url,
        _RUNTIME: _runtime_url(project) or place.url,
        "AWS_ACCESS_KEY_ID": key.access,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
        # Patience of ten seconds or more, so that a `fit()` outlives a control plane that is started again.
        "AWS_RETRY_MODE": "standard",
        "AWS_MAX_ATTEMPTS": "10",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(write_defaults(root)),
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_ENABLE_RICH_LOGGING": "1",  # SDK 3 shows no log without it
    }
    misleading = (name for name in present if name in _MISLEADING or name.startswith("AWS_ENDPOINT_URL_"))
    return Environment(variables, tuple(sorted(name for name in misleading if name not in variables)))


def _runtime_url(project: Project) -> str | None:
    """The gateway's, where clients with the control plane's key can ask it as they are. Else they come through the
    control plane, which has a caller's key and knows the certificate."""
    settings = project.parts.settings.gateway
    return None if settings.callers or settings.tls else gateway_url(project)


def write_defaults(root: Path) -> Path:
    """The file of defaults for SageMaker's SDKs, written unless it is there as it should be; one that
    somebody made their own stays."""
    file = root.resolve() / NAME / "sagemaker-sdk.yaml"
    text = emit(_DEFAULTS, heading=["Written by sagespec for SageMaker's SDKs, which report to AWS otherwise."])
    with disk_problems(f"cannot write {file}"):
        if not file.exists() or (is_ours(file) and file.read_text(encoding="utf-8") != text):
            write(file, text)
    return file
