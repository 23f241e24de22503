"""Notebooks: Jupyter as a command, the kernel it offers, and what the kernel adds to a notebook."""
