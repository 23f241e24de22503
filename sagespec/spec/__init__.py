"""What users write: pydantic models, one file a kind; each field with its help and update class."""
