"""The decisions, pure: from what is wanted and what is there to a plan. `reconcile` is the door.

docs/planning.md lists, rule by rule, when each action is proposed.
"""
