"""Calibration: from measurements to parameters with their uncertainty."""
