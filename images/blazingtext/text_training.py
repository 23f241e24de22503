"""Training of blazingtext: text classification by fastText, which the hosted algorithm reimplements.

A line is words and labels (`__label__x`), or in JSON lines `{"source": ..., "label": ...}`.
fastText's threads run in no fixed order, so two runs differ a little, as the hosted ones do.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import fasttext
import orjson
from text_model import FILE_NAME
from toolkit.errors import ClientError
from toolkit.gate import require_finite
from toolkit.hyperparameters import Auto, Declaration, Range
from toolkit.media import JSON_LINES, media_type
from toolkit.places import Place
from toolkit.read_note import ChannelRead, files_and_bytes, report
from toolkit.training import Channel, Job

LABEL = "__label__"
END_OF_LINE = "</s>"  # which fastText counts as a word
CHANNELS = ("train", "validation")
# A thread gives a tenth of the vectors their random start; with fewer than these the last vectors begin with
# whatever is in memory, and may end as NaN (DenseMatrix::uniformThread of fastText).
LEAST_THREADS = 11
MOST_BUCKETS = 2_000_000  # the hosted default
POSITIVE = Range(minimum=1)
LOWER_RATE = "the vectors grow without end: lower learning_rate"
FOR_WORD_VECTORS = "it is for word vectors, not for text classification"


@dataclass(frozen=True)
class Hyperparameters(Declaration):
    """The hosted BlazingText's hyperparameters for text classification."""

    mode: Annotated[
        Literal["supervised", "batch_skipgram", "skipgram", "cbow"],
        "supervised: text classification; the other modes make word vectors, which are not supported",
    ]
    epochs: Annotated[int, POSITIVE, "Number of passes over the sentences"] = 5
    learning_rate: Annotated[float, Range(above=0), "Initial step size; it decreases to 0"] = 0.05
    vector_dim: Annotated[int, POSITIVE, "Length of the word vectors"] = 100
    word_ngrams: Annotated[int, POSITIVE, "Longest run of words that counts as one feature"] = 2
    min_count: Annotated[int, Range(minimum=0), "Words that occur less often than this are dropped"] = 5
    buckets: Annotated[
        int | Auto,
        POSITIVE,
        "Hash buckets for runs of words, vector_dim * 4 bytes each; auto: twice the number of runs, at most 2000000",
    ] = "auto"
    early_stopping: Annotated[
        bool,
        "Whether to retrain from scratch with more and more epochs and keep the model of best validation accuracy",
    ] = False
    patience: Annotated[int, POSITIVE, "Early stopping ends after this many trainings without a better model"] = 4
    min_epochs: Annotated[int, POSITIVE, "Number of epochs that early stopping starts with"] = 5

    IGNORED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        (
            *("batch_size", "evaluation", "min_char", "max_char"),
            *("negative_samples", "sampling_threshold", "subwords", "window_size"),
        ),
        FOR_WORD_VECTORS,
    )


def train(job: Job[Hyperparameters]) -> None:
    """Leave the classifier in the model folder, and print its accuracy on both channels."""
    settings = job.hyperparameters
    check_settings(job)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in CHANNELS if name in job.channels}
        counts = {name: gather(job.channel(name), file) for name, file in files.items()}
        report(job, [(name, read_of(job.channel(name), sentences)) for name, (sentences, _) in counts.items()])
        arguments = arguments_of(settings, files["train"], counts["train"][1])
        model = best(job, arguments, files["validation"]) if settings.early_stopping else fit(arguments)
        if set(model.get_words()) <= {END_OF_LINE}:
            raise ClientError(f"channel train: no word occurs min_count={settings.min_count} times; lower min_count")
        accuracies = {name: accuracy(model, file) for name, file in files.items()}
        vectors = {"word vectors": model.get_input_matrix(), "label vectors": model.get_output_matrix()}
        require_finite(job.hosts, vectors | accuracies, likely=LOWER_RATE)
        for name, value in accuracies.items():
            print(f"#{name}_accuracy: {value:.9g}", flush=True)
        model.save_model(str(job.model_folder / FILE_NAME))


def check_settings(job: Job[Hyperparameters]) -> None:
    settings = job.hyperparameters
    if settings.mode != "supervised":
        raise ClientError(
            f"hyperparameters: mode={settings.mode} makes word vectors, which are not supported; "
            "use mode=supervised, text classification"
        )
    if len(job.hosts.names) > 1:
        raise ClientError("blazingtext classifies text on one host, as the hosted algorithm does: set instances: 1")
    job.channel("train")
    if settings.early_stopping and "validation" not in job.channels:
        raise ClientError("hyperparameters: early_stopping needs a validation channel")


def read_of(channel: Channel, sentence_count: int) -> ChannelRead:
    return ChannelRead(*files_and_bytes(channel), rows=sentence_count)


def gather(channel: Channel, target: Path) -> tuple[int, int]:
    """Write the channel's sentences to one file as fastText reads it; the number of sentences and of words."""
    line_of = line_of_json if media_type(channel.content_type).name == JSON_LINES else line_of_text
    sentence_count = word_count = 0
    with target.open("w", encoding="utf-8") as file:
        for path in channel.paths():
            place = Place.of(channel, path)
            for number, text in numbered_lines(path, place):
                try:
                    words = line_of(text)
                except ValueError as error:
                    raise ClientError(f"{place.row(number)}: {error}") from error
                if not any(word.startswith(LABEL) for word in words):
                    raise ClientError(f"{place.row(number)}: the line has no label, a word that begins with {LABEL}")
                sentence_count, word_count = sentence_count + 1, word_count + len(words)
                file.write(" ".join(words) + "\n")
    if not word_count:
        raise ClientError(f"channel {channel.name} has no sentences")
    return sentence_count, word_count


def numbered_lines(path: Path, place: Place) -> Iterator[tuple[int, str]]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ClientError(f"{place.row(number)}: not UTF-8: {error.reason}") from error
            if text.strip():
                yield number, text


def line_of_text(text: str) -> list[str]:
    return text.split()


def line_of_json(text: str) -> list[str]:
    """Words of `{"source": "...", "label": 1}`, of which label may be a list."""
    sample = orjson.loads(text)
    if not isinstance(sample, dict) or not isinstance(sample.get("source"), str) or "label" not in sample:
        raise ValueError('not {"source": "...", "label": ...}')
    labels = sample["label"] if isinstance(sample["label"], list) else [sample["label"]]
    return [*(LABEL + "_".join(str(label).split()) for label in labels), *sample["source"].split()]


def arguments_of(settings: Hyperparameters, file: Path, word_count: int) -> dict[str, Any]:
    """fastText's arguments, by its own names."""
    run_count = word_count * (settings.word_ngrams - 1)
    buckets = min(MOST_BUCKETS, max(1, 2 * run_count)) if settings.buckets == "auto" else settings.buckets
    return {
        "input": str(file),
        "epoch": settings.epochs,
        "lr": settings.learning_rate,
        "dim": settings.vector_dim,
        "wordNgrams": settings.word_ngrams,
        "minCount": settings.min_count,
        "bucket": buckets,
        "thread": max(LEAST_THREADS, os.cpu_count() or 1),
        "verbose": 0,
    }


def fit(arguments: Mapping[str, Any]) -> Any:
    try:
        return fasttext.train_supervised(**arguments)
    except RuntimeError as error:
        if "NaN" not in str(error):
            raise
        raise ClientError(
            f"hyperparameters: learning_rate={arguments['lr']} is too high, the vectors grow without end; lower it"
        ) from error


def best(job: Job[Hyperparameters], arguments: Mapping[str, Any], validation: Path) -> Any:
    """The model with the best number of epochs.

    fastText's step size falls over all epochs, so it has no usable model halfway: each number of epochs is trained
    from scratch.
    """
    settings, best_accuracy, best_model, tries = job.hyperparameters, -1.0, None, 0
    for epochs in range(min(settings.min_epochs, settings.epochs), settings.epochs + 1):
        model = fit({**arguments, "epoch": epochs})
        now = accuracy(model, validation)
        print(f"epochs={epochs} #validation_accuracy: {now:.9g}", flush=True)
        tries += 1
        if now > best_accuracy:
            best_accuracy, best_model, tries = now, model, 0
        job.stop.keep_model()
        if tries >= settings.patience or job.stop.requested:
            break
    return best_model


def accuracy(model: Any, file: Path) -> float:
    """The share of sentences whose likeliest label is one of theirs."""
    _, precision, _ = model.test(str(file), k=1)
    return float(precision)
