"""The gateway: Envoy's life (`gateway`, `launch`, `ports`) and, as pure values, its configuration and its answers:
`table`, `routes`, `documents`, `answers`.
"""
