"""The two sides that are compared, `desired` and `observed`, and the values that both consist of."""
