"""Channels to a DMatrix, in a training script.

A file or folder is read by our algorithms' own readers, so hidden files are left out, folders may lie in folders, and
whatever is wrong is named with its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sagespec_toolkit  # noqa: F401
import xgboost
from sagemaker_algorithm_toolkit.exceptions import UserError
from toolkit.data import InputFormat, read_tables
from toolkit.errors import ClientError
from toolkit.hosts import Hosts
from toolkit.media import CSV as TEXT_CSV
from toolkit.media import LIBSVM as TEXT_LIBSVM
from toolkit.media import PARQUET as APPLICATION_PARQUET
from toolkit.media import RECORDIO, media_type
from toolkit.training import Channel

CSV = "csv"
LIBSVM = "libsvm"
PARQUET = "parquet"
RECORDIO_PROTOBUF = "recordio-protobuf"
NAMES = {TEXT_CSV: CSV, TEXT_LIBSVM: LIBSVM, APPLICATION_PARQUET: PARQUET, RECORDIO: RECORDIO_PROTOBUF}


@dataclass(frozen=True)
class _Files(Channel):
    """Some files and folders as one channel."""

    roots: tuple[Path, ...] = ()

    def files(self) -> list[Path]:
        parts = ([root] if root.is_file() else Channel(self.name, root, "").files() for root in self.roots)
        return [path for part in parts for path in part]


def get_content_type(content_type_cfg_val: str | None) -> str:
    """csv, libsvm, parquet or recordio-protobuf; libsvm if there is none. Raises UserError."""
    kind = media_type(content_type_cfg_val or TEXT_LIBSVM)
    if kind.name not in NAMES:
        raise UserError(
            f"{content_type_cfg_val} is not an accepted ContentType: {', '.join([*NAMES.values(), *NAMES])}"
        )
    if kind.parameters.get("label_size", "1") != "1":
        raise UserError(f"{content_type_cfg_val}: label_size must be 1")
    return NAMES[kind.name]


def get_dmatrix(
    data_path: str | Sequence[str], content_type: str, csv_weights: int = 0, is_pipe: bool = False
) -> xgboost.DMatrix | None:
    """The rows in a file, a folder, a pipe, or several of them, label first; None if there are none. Raises UserError.

    csv_weights: 1 if the second column of CSV is the row's weight.
    """
    roots = tuple(map(Path, [data_path] if isinstance(data_path, str | Path) else data_path))
    own = roots[0] if len(roots) == 1 and (is_pipe or roots[0].is_dir()) else roots[0].parent
    kind = next((kind for kind, name in NAMES.items() if name == get_content_type(content_type)), "")
    channel = _Files(roots[0].name, own, kind, input_mode="Pipe" if is_pipe else "File", roots=roots)
    if not is_pipe and not channel.files():
        return None
    how = InputFormat(allow_missing=True, keep_sparse=True, takes_weights=True, csv_weights=csv_weights == 1)
    try:
        (table,) = read_tables(Hosts(("here",), "here"), [channel], how)
    except ClientError as error:
        raise UserError(str(error)) from error
    if not len(table.labels):
        return None
    return xgboost.DMatrix(table.features, label=table.labels, weight=table.weights)


def get_csv_dmatrix(path: str, csv_weights: int = 0, is_pipe: bool = False) -> xgboost.DMatrix | None:
    return get_dmatrix(path, CSV, csv_weights, is_pipe)


def get_libsvm_dmatrix(files_path: str, is_pipe: bool = False) -> xgboost.DMatrix | None:
    return get_dmatrix(files_path, LIBSVM, is_pipe=is_pipe)


def get_parquet_dmatrix(path: str, is_pipe: bool = False) -> xgboost.DMatrix | None:
    return get_dmatrix(path, PARQUET, is_pipe=is_pipe)


def get_recordio_protobuf_dmatrix(path: str, is_pipe: bool = False) -> xgboost.DMatrix | None:
    return get_dmatrix(path, RECORDIO_PROTOBUF, is_pipe=is_pipe)


def validate_data_file_path(data_path: str, content_type: str) -> None:
    """Raises UserError if there is no such path; whatever the files hold is checked when they are read."""
    get_content_type(content_type)
    if not Path(data_path).exists():
        raise UserError(f"{data_path} is not a valid path!")


def get_size(data_path: str, is_pipe: bool = False, dir_path: str | None = None) -> int:
    """The bytes of all files that hold data; 1 for a pipe, 0 for nothing."""
    path = Path(dir_path or data_path)
    if is_pipe and path.with_name(f"{path.name}_0").exists():
        return 1
    files = [path] if path.is_file() else Channel(path.name, path, "").files()
    return sum(file.stat().st_size for file in files)


def check_data_redundancy(train_path: str, validate_path: str) -> None:
    """Say which files are in both folders, by name and size."""
    sizes = {path.name: path.stat().st_size for path in Path(train_path).glob("*") if path.is_file()}
    for path in Path(validate_path).glob("*"):
        if path.is_file() and sizes.get(path.name) == path.stat().st_size:
            print(f"warning: {path.name} is in {train_path} and in {validate_path}", flush=True)
