"""Carries a plan out: `apply` walks the graph, `waiting` holds jobs whose turn it is not, `effects` says
which function carries out which action.
"""
