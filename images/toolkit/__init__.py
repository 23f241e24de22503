"""What the built-in algorithms share: one side trains, the other serves.

`train` of an image calls `toolkit.training.main`, `serve` calls `toolkit.serving.main`; the two
sides share only the parsers in `rows` and `recordio` and the media types in `media`. Reading order:
`training` (the job as an algorithm sees it), `hyperparameters`, `data`, `hosts`, `checkpoints`, then `serving`,
`formats`.
"""
