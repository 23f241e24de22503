"""The model's file."""

MODEL_NAME = "xgboost-model"
