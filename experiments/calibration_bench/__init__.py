"""Objective, gradient and multi-start of PEtab problems beside AMICI; run by scripts/bench_calibration.py."""
