"""The Python verbs: `train`, `deploy`, `job` and `endpoint`, and the objects they return.

training.py     train: what was asked for -> a document -> the version it is -> work
deploying.py    deploy, and every change of an endpoint's document
jobs.py         Job: one version of a model, looked at again each time it is asked
endpoints.py    Endpoint: predictions, the split, the history
channels.py     data -> channels; frames.py: a frame -> CSV and what its columns are
written.py      documents -> files of specs that sagespec has written
predictions.py  rows -> a request, an answer -> rows
work.py         what continues in a thread of this process; following.py: who waits for it, and what they see
projects.py     which project is meant
"""
