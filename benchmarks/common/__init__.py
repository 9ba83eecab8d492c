"""Shared by all benchmarks: raw rows, facts about the machine, processes, gateways."""
