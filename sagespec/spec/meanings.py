"""What the fields of a model mean: the text that stands below each in the source.

pydantic would read them (`use_attribute_docstrings`) for every model as it is made. All commands would wait for that,
and only the schema needs it.
"""

from __future__ import annotations

import ast
import functools
import inspect
import sys
from collections.abc import Iterator
from itertools import pairwise

from sagespec.spec.values import SpecModel


def meanings_of(model: type[SpecModel]) -> dict[str, str]:
    """By name of the field; those of the models that it inherits from, too."""
    classes = [one for one in reversed(model.__mro__) if issubclass(one, SpecModel)]
    return {name: text for one in classes for name, text in _below_fields(one)}


@functools.cache
def _parsed(module_name: str) -> ast.Module:
    return ast.parse(inspect.getsource(sys.modules[module_name]))


def _below_fields(model: type[SpecModel]) -> Iterator[tuple[str, str]]:
    for node in _parsed(model.__module__).body:
        if isinstance(node, ast.ClassDef) and node.name == model.__name__:
            for field, text in pairwise(node.body):
                match field, text:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                        yield name, inspect.cleandoc(meaning)
