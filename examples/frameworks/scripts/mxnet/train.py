"""Handwritten digits by a small Gluon network; the exported network is served by the defaults."""

import argparse
import os
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    settings = parser.parse_args()

    rows = np.loadtxt(Path(os.environ["SM_CHANNEL_TRAIN"], "digits.csv"), delimiter=",", dtype=np.float32)
    batches = gluon.data.DataLoader(gluon.data.ArrayDataset(rows[:, 1:], rows[:, 0]), batch_size=100, shuffle=True)
    mx.random.seed(1)
    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Dense(32, activation="tanh"), gluon.nn.Dense(10))
    network.initialize(mx.init.Xavier())
    network.hybridize()
    cross_entropy = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(network.collect_params(), "adam", {"learning_rate": 0.01})
    for epoch in range(settings.epochs):
        for pixels, digits in batches:
            with autograd.record():
                loss = cross_entropy(network(pixels), digits)
            loss.backward()
            trainer.step(len(pixels))
        print(f"epoch={epoch} train:loss={loss.mean().asscalar():.4f}")
    network.export(str(Path(os.environ["SM_MODEL_DIR"], "model")))
