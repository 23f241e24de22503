"""The server to compare with: the shape AWS's bring-your-own sample has, in its plainest form.

Flask behind gunicorn's sync workers, the request read by pandas, answered by scikit-learn's
`LogisticRegression.predict`. Run as `gunicorn serving_bring_your_own:app` with MODEL_FILE set.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import flask
import pandas

app = flask.Flask(__name__)
model = pickle.loads(Path(os.environ["MODEL_FILE"]).read_bytes())


@app.get("/ping")
def ping() -> flask.Response:
    return flask.Response(status=200)


@app.post("/invocations")
def invocations() -> flask.Response:
    if flask.request.content_type == "text/csv":
        rows = pandas.read_csv(io.StringIO(flask.request.get_data().decode("utf-8")), header=None)
        labels = io.StringIO()
        pandas.DataFrame({"results": model.predict(rows)}).to_csv(labels, header=False, index=False)
        return flask.Response(labels.getvalue(), mimetype="text/csv")
    instances = flask.request.get_json()["instances"]
    rows = pandas.DataFrame([instance["features"] for instance in instances])
    predictions = [{"predicted_label": int(label)} for label in model.predict(rows)]
    return flask.jsonify({"predictions": predictions})
