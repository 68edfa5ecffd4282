"""The eigenvalues of a Fisher information, and which directions it does not see."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

RANK_AT = 1e-8  # of the largest eigenvalue
_BLIND = 1e-8  # a parameter whose whole range moves the log-likelihood by less than this has no influence


class Spectrum(NamedTuple):
    """Eigen-decomposition of an information that is scaled to ones on its diagonal.

    information: as given, shape (n, n); unit: of each coordinate in the scaled one, shape (n,): one over the root of
    the diagonal; values: eigenvalues, ascending, shape (n,); turned: eigenvectors, columns, shape (n, n); blind:
    coordinates without any influence, shape (n,); null: which eigenvalues count as zero, shape (n,).
    """

    information: np.ndarray
    unit: np.ndarray
    values: np.ndarray
    turned: np.ndarray
    blind: np.ndarray
    null: np.ndarray
    rank_at: float

    @property
    def rank(self) -> int:
        return int((~self.null).sum())

    @property
    def unseen(self) -> np.ndarray:
        """Directions that the information does not see, columns, shape (n, n - rank)."""
        return self.unit[:, None] * self.turned[:, self.null]

    @property
    def inverse(self) -> np.ndarray:
        """Inverse on what is seen, shape (n, n)."""
        seen = self.unit[:, None] * self.turned[:, ~self.null]
        return (seen / self.values[~self.null]) @ seen.T

    def sees(self, direction: np.ndarray) -> bool:
        """Whether a movement along `direction` (n,) changes what is measured."""
        scaled = np.where(self.blind, 0.0, direction / self.unit)
        moved = scaled * self.unit
        return bool(moved @ self.information @ moved > 10 * self.rank_at * self.values[-1] * (scaled @ scaled))


def spectrum(information: np.ndarray, width: np.ndarray, rank_at: float = RANK_AT) -> Spectrum:
    """Of an information (n, n); `width` (n,) is the range of each coordinate. Eigenvalues below `rank_at` times the
    largest count as zero.

    The scaling makes the verdict independent of units: it asks what the others can make up for. A coordinate whose own
    information over its whole range is next to nothing has no influence at all, and is set apart before.
    """
    diagonal = np.diag(information)
    influence = diagonal * width**2
    blind = influence <= max(_BLIND, 1e-14 * influence.max(initial=0.0))
    unit = np.where(blind, width, 1 / np.sqrt(np.where(blind, 1.0, diagonal)))
    scaled = np.where(blind[:, None] | blind, 0.0, information * np.outer(unit, unit))
    values, turned = np.linalg.eigh(scaled)
    null = values <= rank_at * max(values.max(initial=0.0), 1e-300)
    return Spectrum(information, unit, values, turned, blind, null, rank_at)
