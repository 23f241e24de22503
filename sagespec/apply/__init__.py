"""Carries a plan out: `apply` walks the graph, `effects` says what each action means, `tasks` run between passes,
`queue` holds jobs whose turn it is not, `glance` tells when to look again, `newest` leaves alone what a later run has
taken over.
"""
