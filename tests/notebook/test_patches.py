"""What is replaced in the SDKs' modules, where it is what we know, and only there."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sagespec.notebook.clock import Clock
from sagespec.notebook.imports import OnImport
from sagespec.notebook.patches import PATCHES, Checked, patch


def session(**names: Any) -> ModuleType:
    module = ModuleType("sagemaker.session")
    vars(module).update({"time": time, "sts_regional_endpoint": regional} | names)
    return module


def regional(region: str) -> str:
    return str(construct_endpoint("sts", region))


def construct_endpoint(service: str, region: str) -> str:
    return f"https://{service}.{region}.amazonaws.com"


def test_sts_is_where_the_variables_say(monkeypatch: pytest.MonkeyPatch) -> None:
    module = session()
    assert patch(module) == []
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.delenv(name, raising=False)
    assert module.sts_regional_endpoint("eu-west-1") == "https://sts.eu-west-1.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:8081")
    assert module.sts_regional_endpoint("eu-west-1") == "http://127.0.0.1:8081"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
    assert module.sts_regional_endpoint("eu-west-1") == "http://127.0.0.1:9"


def test_what_is_not_as_it_was_stays_as_it_is_and_is_told() -> None:
    def newer(region: str, partition: str) -> str:
        return region + partition

    module = session(sts_regional_endpoint=newer)
    [told] = patch(module)
    assert module.sts_regional_endpoint is newer
    assert isinstance(module.time, Clock)
    assert "sagemaker.session.sts_regional_endpoint is not what sagespec knows" in told
    assert "get_execution_role()" in told


def test_a_name_that_is_gone_is_told() -> None:
    module = session()
    del module.time
    assert len(patch(module)) == 1


class Schema(ModuleType):
    calls = 0

    def validate(self, instance: object, schema: object) -> None:
        self.calls += 1
        if not isinstance(instance, dict):
            raise TypeError("wrong")


def test_equal_defaults_are_checked_once_and_others_again() -> None:
    original = Schema("jsonschema")
    checked, schema = Checked(original), {"type": "object"}
    for _ in range(3):
        checked.validate({"SchemaVersion": "1.0"}, schema)
    assert original.calls == 1
    checked.validate({"SchemaVersion": "1.1"}, schema)
    checked.validate({"SchemaVersion": "1.0"}, {"type": "object", "properties": {}})
    assert original.calls == 3


def test_wrong_defaults_are_refused_each_time() -> None:
    checked = Checked(Schema("jsonschema"))
    for _ in range(2):
        with pytest.raises(TypeError):
            checked.validate([], {})


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "of_a_test").mkdir()
    (tmp_path / "of_a_test" / "inner.py").write_text("value = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.delitem(sys.modules, "of_a_test.inner", raising=False)
    return "of_a_test.inner"


def test_a_module_is_acted_on_as_it_is_imported(package: str) -> None:
    seen: list[str] = []

    def act(module: ModuleType) -> None:
        seen.append(module.__name__)
        vars(module)["value"] = 2

    OnImport([package], act).install()
    assert seen == []
    from of_a_test.inner import value  # type: ignore[import-not-found]

    assert (seen, value) == ([package], 2)


def test_a_module_that_is_imported_is_acted_on_at_once(package: str) -> None:
    import importlib

    importlib.import_module(package)
    seen: list[str] = []
    OnImport([package], lambda module: seen.append(module.__name__)).install()
    assert seen == [package]


def test_a_module_that_is_not_installed_is_missing_as_before(package: str) -> None:
    OnImport(["of_a_test.other"], lambda _: None).install()
    with pytest.raises(ModuleNotFoundError):
        import of_a_test.other  # type: ignore[import-not-found]  # noqa: F401


def test_both_sdks_are_known() -> None:
    assert {"sagemaker.session", "sagemaker.core.helper.session_helper"} <= set(PATCHES)
