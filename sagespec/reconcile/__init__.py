"""The decisions, pure: what is wanted beside what is there, to a plan. `reconcile` is the door.

docs/planning.md lists, rule by rule, when each action is proposed.
"""
