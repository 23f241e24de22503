"""Names of the hosted container."""
