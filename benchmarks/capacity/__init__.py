"""Capacity planning: how many machines a load needs."""
