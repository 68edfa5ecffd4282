"""A law of parameters with more shapes than the normal: rational-quadratic spline coupling layers (Durkan 2019,
arXiv 1906.04032), then m + C e, so that it holds every normal law. The layers are flowjax's (extra `flows`)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax

from qspx._errors import QspxError
from qspx.vpop.parameter_laws import AbstractParameterLaw, GaussianLaw, affine


@dataclasses.dataclass(frozen=True)
class CouplingFlow(AbstractParameterLaw):
    """Coupling flow, for two parameters or more.

    Args:
        layers: coupling layers, with permutations in between.
        width: of the network of a layer, which has one hidden layer.
        knots, interval: of the splines, which are the identity beyond ± interval.
    """

    layers: int = 4
    width: int = 32
    knots: int = 8
    interval: float = 4.0

    def start(self, dimensions, key):
        import equinox as eqx

        self._frame(dimensions)
        learned = eqx.filter(self._bijection(dimensions, key), eqx.is_inexact_array)
        # near the prior: a tenth of the usual weights of the networks
        return {**GaussianLaw().start(dimensions, key), "layers": [0.1 * x for x in jax.tree.leaves(learned)]}

    def moved(self, at, e):
        import equinox as eqx
        import paramax

        flow = self._frame(e.shape[1])
        learned, rest = eqx.partition(flow, eqx.is_inexact_array)
        learned = jax.tree.unflatten(jax.tree.structure(learned), at["layers"])
        bijection = paramax.unwrap(eqx.combine(learned, rest))
        bent, volume = jax.vmap(bijection.transform_and_log_det)(e)
        z, more = affine(at, bent)
        return z, volume + more

    @functools.lru_cache(maxsize=8)  # noqa: B019  (a frozen value with few instances)
    def _frame(self, dimensions: int) -> Any:
        """All that is not learned: permutations, activations, shapes. `start` makes it, outside of any tracing."""
        return self._bijection(dimensions, jax.random.key(0))

    def _bijection(self, dimensions: int, key: Any) -> Any:
        try:
            from flowjax.bijections import RationalQuadraticSpline
            from flowjax.distributions import StandardNormal
            from flowjax.flows import coupling_flow
        except ImportError as error:
            raise QspxError("CouplingFlow needs flowjax: pip install 'qspx[flows]'.") from error
        if dimensions < 2:
            raise QspxError(f"CouplingFlow needs two parameters or more, but the prior has {dimensions}.")
        spline = RationalQuadraticSpline(knots=self.knots, interval=self.interval)
        flow = coupling_flow(
            key,
            base_dist=StandardNormal((dimensions,)),
            transformer=spline,
            flow_layers=self.layers,
            nn_width=self.width,
            invert=False,
        )
        return flow.bijection
