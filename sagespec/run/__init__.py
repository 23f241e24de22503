"""The life of containers that end: one training job from its start to its manifest. `run` tells the story."""
