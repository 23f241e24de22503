"""What an import from SageMaker writes into a spec that is to be committed, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from sagespec.api.sagemaker.imports.specs import heading_of, specs_folder
from sagespec.api.sagemaker.translate.described import job_request, without_secrets
from sagespec.errors import SpecError
from sagespec.parts import Parts

GIVEN = {"LOG": "info", "WANDB_API_KEY": "0123456789", "HF_TOKEN": "hf_abc", "DB": "postgres://ada:pw@db/churn"}
LEFT_OUT = tuple(
    f"Environment.{name} looks secret: name a secret, {{secret: …}}" for name in ("WANDB_API_KEY", "HF_TOKEN", "DB")
)


def test_variables_that_look_secret_are_left_out_and_told() -> None:
    description = {"AlgorithmSpecification": {}, "Environment": GIVEN, "VpcConfig": {"Subnets": ["s"]}}
    request, left_out = job_request(description, is_builtin=False)
    assert request["Environment"] == {"LOG": "info"}
    assert left_out == ("VpcConfig", *LEFT_OUT)
    assert without_secrets({"Image": "i", "Environment": GIVEN}) == (
        {"Image": "i", "Environment": {"LOG": "info"}},
        LEFT_OUT,
    )
    assert without_secrets({"Image": "i"}) == ({"Image": "i"}, ())
    assert heading_of("job", "", left_out) == (
        "Imported from SageMaker's job.",
        "Left out, since sagespec has no field for it: VpcConfig.",
        *(f"Left out: {one}" for one in LEFT_OUT),
    )


def test_nothing_is_written_where_only_files_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "sagespec.yaml").write_text("apiVersion: sagespec/v1\nkind: Project\nname: demo\n")
    assert specs_folder(Parts(tmp_path)) == tmp_path / "specs", "which is made then"
    (tmp_path / "specs").mkdir()
    file = tmp_path / "specs" / "a.yaml"
    file.touch()
    with pytest.raises(SpecError, match=r"only files are loaded: specs/a\.yaml") as caught:
        specs_folder(Parts(tmp_path, [file]))
    assert "run it without -f, or name a folder" in str(caught.value)
    assert specs_folder(Parts(tmp_path, [file, tmp_path / "specs"])) == tmp_path / "specs"
