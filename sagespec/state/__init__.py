"""The two sides that are compared, `desired` and `observed`, and the values both are made of."""
