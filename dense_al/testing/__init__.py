"""Toy inputs and the contract test every acquisition inherits."""
