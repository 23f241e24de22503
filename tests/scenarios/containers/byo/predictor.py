"""The web application: a class for each row of a CSV."""

import pickle
from pathlib import Path

import flask

app = flask.Flask(__name__)
tree = pickle.loads(Path("/opt/ml/model/decision-tree.pkl").read_bytes())


@app.get("/ping")
def ping() -> flask.Response:
    return flask.Response("\n", status=200 if tree else 404, mimetype="application/json")


@app.post("/invocations")
def invocations() -> flask.Response:
    if flask.request.content_type != "text/csv":
        return flask.Response("this predictor reads CSV alone", status=415, mimetype="text/plain")
    rows = [[float(value) for value in line.split(",")] for line in flask.request.get_data(as_text=True).split()]
    return flask.Response("\n".join(tree.predict(rows)) + "\n", mimetype="text/csv")
