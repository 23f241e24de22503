"""What people and programs read: plans, progress, status, history and problems as text, JSON or Markdown.

Called by `cli` alone, with a `Screen` that knows where the output goes and in which form. One file a thing
that is shown; nothing here decides or changes anything. Each is imported where it is needed: `sagespec version`
is to answer at once.
"""
