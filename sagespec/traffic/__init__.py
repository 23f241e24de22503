"""What the gateway's counters were over time.

`recorder` reads them every second in a thread of the loop; `intervals` subtracts one reading from the next,
`history` keeps the intervals, and `lately` writes the last minute down for other processes.
"""
