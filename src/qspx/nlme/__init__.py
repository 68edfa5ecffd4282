"""Population fits: nonlinear mixed effects."""
