"""Containers as services of a Docker Swarm. Called through the Runtime protocol alone."""
