"""Specs for scenarios, small and quick: the test image trains in no time and says back what it was asked."""

from __future__ import annotations


def job(version: int, *, hyperparameters: str = "{}", instances: int = 1, algorithm: str = "echo") -> str:
    return f"""\
---
apiVersion: sagespec/v1
kind: TrainingJob
name: model
version: {version}
algorithm: {algorithm}
hyperparameters: {hyperparameters}
instances: {instances}
channels: {{train: ../data/train.csv}}
"""


def endpoint(*variants: str, name: str = "answers", rollout: str = "{min_healthy: 300ms}") -> str:
    """variants: `name model weight`, e.g. "stable model@1 90"; further fields after the weight, as YAML."""
    lines = []
    for variant in variants:
        variant_name, model, weight, *more = variant.split(" ", 3)
        fields = ", ".join([f"name: {variant_name}", f"model: {model}", f"weight: {weight}", *more])
        lines.append(f"  - {{{fields}}}")
    return (
        f"---\napiVersion: sagespec/v1\nkind: Endpoint\nname: {name}\nrollout: {rollout}\nvariants:\n"
        + "\n".join(lines)
        + "\n"
    )
