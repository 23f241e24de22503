"""Figures for Prometheus: of the gateway, of the loop, and the address where they are read.

`scene` and `loop_counts` are what is shown, `families` gives it names, `exposition` writes it down, `server` answers.
"""
