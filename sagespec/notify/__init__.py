"""Messages to people, one for each change of state: what is worth one, which are due, and how they are sent.

`conditions` says what is so, `notices` which of it is news, `sender` sends it beside all other work.
"""
