"""The dashboard: pages of what runs, in a browser."""
