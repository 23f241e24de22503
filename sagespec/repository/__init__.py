"""A git repository elsewhere: its commits and trees, fetched by the `git` command, and who has signed them."""
