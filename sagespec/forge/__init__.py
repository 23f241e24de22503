"""What a forge shows beside a commit: whether it was applied.

`statuses` says what is true of which commit, `requests` how each forge is told, `reporter` tells it.
"""
