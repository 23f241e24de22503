"""The gateway: Envoy's life (`gateway`, `launch`, `ports`) and, as pure values, what it is told and says:
`table`, `routes`, `documents`, `answers`.
"""
