"""The table of `Measurements.summary`, which prints in full."""

from __future__ import annotations

import pandas as pd


class Summary(pd.DataFrame):
    """A pandas frame that no terminal is too narrow for: what is printed has every row and column."""

    def __repr__(self) -> str:
        return self.to_string(index=False)
