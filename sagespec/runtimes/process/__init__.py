"""Local processes as containers, where no engine answers. `runtime` is the door."""
