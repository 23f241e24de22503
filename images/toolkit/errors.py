"""The one exception an algorithm raises on purpose."""


class ClientError(Exception):
    """The input or a hyperparameter is wrong, and its owner can fix it.

    Ends training with `ClientError: ...` in output/failure; every other exception ends it with
    `AlgorithmError: ...`.
    """
