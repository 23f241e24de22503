"""Handwritten digits by a small network, on one host or, told by TF_CONFIG, on several.

Every host takes its share of each batch and the gradients are summed, so that N hosts find the network of one. The
SavedModel is served by the defaults, as TensorFlow Serving would.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf


class Network(tf.Module):
    def __init__(self):
        super().__init__()
        shapes = {"hidden": (64, 32), "hidden_bias": (32,), "output": (32, 10), "output_bias": (10,)}
        self.weights = {
            name: tf.Variable(
                tf.random.stateless_normal(shape, seed=(1, seed), stddev=0.1),
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                name=name,
            )
            for seed, (name, shape) in enumerate(shapes.items())
        }

    def logits(self, pixels):
        hidden = tf.tanh(pixels @ self.weights["hidden"] + self.weights["hidden_bias"])
        return hidden @ self.weights["output"] + self.weights["output_bias"]

    @tf.function(input_signature=[tf.TensorSpec((None, 64), tf.float32, name="pixels")])
    def probabilities(self, pixels):
        return {"probabilities": tf.nn.softmax(self.logits(pixels))}


def train(settings):
    several = "TF_CONFIG" in os.environ
    strategy = tf.distribute.MultiWorkerMirroredStrategy() if several else tf.distribute.get_strategy()
    world_size = strategy.num_replicas_in_sync
    rank = strategy.cluster_resolver.task_id if several else 0

    rows = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"], "digits.csv"), delimiter=",", dtype=np.float32)
    pixels, digits = tf.constant(rows[:, 1:]), tf.constant(rows[:, 0].astype(np.int64))
    with strategy.scope():
        network = Network()

    @tf.function
    def step(first):
        def on_this_host():
            share = slice(first + rank, first + settings.batch_size, world_size)
            with tf.GradientTape() as tape:
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(digits[share], network.logits(pixels[share]))
                loss = tf.reduce_sum(losses) / settings.batch_size
            variables = list(network.trainable_variables)
            gradients = tape.gradient(loss, variables)
            loss, *gradients = tf.distribute.get_replica_context().all_reduce("SUM", [loss, *gradients])
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(settings.lr * gradient)
            return loss

        return strategy.reduce("MEAN", strategy.run(on_this_host), axis=None)

    for epoch in range(settings.epochs):
        for first in range(0, len(rows), settings.batch_size):
            loss = step(tf.constant(first))
        if rank == 0:
            print(f"epoch={epoch} train:loss={loss.numpy():.4f}")
    # Every host must take part in saving; what the others write is thrown away.
    with tempfile.TemporaryDirectory() as elsewhere:
        folder = os.environ["SM_MODEL_DIR"] if rank == 0 else elsewhere
        tf.saved_model.save(network, str(Path(folder, "1")), {"serving_default": network.probabilities})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=300)
    parser.add_argument("--lr", type=float, default=0.1)
    train(parser.parse_args())
