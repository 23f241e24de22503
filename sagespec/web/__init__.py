"""What the control plane and the dashboard have in common: a server, who may ask it, and what both look at."""
