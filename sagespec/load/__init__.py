"""YAML to specs, or to every problem in all files at once, each with its place.

`load` is the door; `files` finds and reads, `reading` turns YAML into plain data that knows its places,
`likes` and `environments` put documents over others, by the one rule in `merge`; `words` says what the models object
to, `references` checks across documents, `loaded` is the result.
"""
