"""Specs that sagespec wrote and git does not have as they are: a notebook's work, which somebody should look at."""

from __future__ import annotations

from sagespec.documents.files import is_ours
from sagespec.project import Project
from sagespec.sources.git import changed_files


def uncommitted(project: Project) -> tuple[str, ...]:
    """Their paths in the project, sorted; none outside of a repository."""
    root = project.root
    changed = changed_files(root)
    return tuple(sorted(name for name in changed if name.endswith((".yaml", ".yml")) and is_ours(root / name)))
