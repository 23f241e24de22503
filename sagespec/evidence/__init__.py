"""Whether one model is better than another, by counts alone: tests and bounds that hold at every look. Pure.

sequential.py   events of two models compared, look by look: is one's rate higher?
verdict.py      what that comes to: better, worse, or how many requests more
sample_ratio.py whether requests were split as the weights say
bounds.py       between which bounds a rate, a mean, a difference lies
mixtures.py     what those bounds are made of
special.py      functions of mathematics that Python's library lacks
"""
