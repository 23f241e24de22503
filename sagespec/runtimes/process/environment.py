"""The environment variables a local process starts with."""

from __future__ import annotations

import re
import sys

LOOPBACK = "lo" if sys.platform == "linux" else "lo0"


# All that a program sees of our environment. No credentials; and not RUNNER_TRACKING_ID, by which a GitHub
# Actions runner finds and kills what a job leaves running.
INHERITED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|(DY)?LD_LIBRARY_PATH|CUDA_VISIBLE_DEVICES"
    r"|SSL_CERT_(FILE|DIR)|(REQUESTS|CURL)_CA_BUNDLE|(HTTPS?|ALL|NO)_PROXY|(https?|all|no)_proxy"
)


# What a number of CPUs means without cgroups: so many threads in training, so many processes in serving.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


WORKERS = ("SAGEMAKER_MODEL_SERVER_WORKERS",)
