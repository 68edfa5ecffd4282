"""Coefficients of the Rosenbrock-Wanner methods, in the transformed form that needs no product with the Jacobian.

One step of size h from (t, y), with W = I/(h gamma) - J(t, y) (Hairer and Wanner, Solving Ordinary Differential
Equations II, section IV.7, equation 7.25):

    W U_i = f(t + alpha_i h, y + sum_{j<i} A_ij U_j) + (1/h) sum_{j<i} C_ij U_j + h gamma_i f_t(t, y)

Both methods here are stiffly accurate: the last stage is evaluated at the embedded solution, so

    y1 = y + sum_{j<s} A_sj U_j + U_s,        error estimate = U_s,

and they carry their own dense output, for 0 <= theta <= 1,

    y(t + theta h) = (1 - theta) y + theta (y1 + (1 - theta) (K_1 + theta (K_2 + ...))),    K_l = sum_j H_lj U_j.
"""

from __future__ import annotations

from dataclasses import dataclass

Row = tuple[float, ...]


@dataclass(frozen=True)
class RosenbrockTableau:
    """A stiffly accurate Rosenbrock-Wanner method in transformed form. All entries are plain floats, dimensionless.

    Attributes:
        name: label used in messages.
        order: order of the solution `y1`.
        embedded_order: order of the embedded solution `y1 - U_s`.
        dense_order: order of the dense output.
        gamma: diagonal coefficient; `W = I/(h gamma) - J`.
        A: `stages` rows; row i holds the i weights of the earlier stages in the argument of f.
        C: `stages` rows; row i holds the i weights of the earlier stages on the right-hand side, over h.
        alpha: stage times, as fractions of the step.
        gamma_i: weights of `h f_t`; zero for stages at the end of the step.
        H: dense output rows, each of length `stages`.
        source: citation.
    """

    name: str
    order: int
    embedded_order: int
    dense_order: int
    gamma: float
    A: tuple[Row, ...]
    C: tuple[Row, ...]
    alpha: Row
    gamma_i: Row
    H: tuple[Row, ...]
    source: str

    def __post_init__(self) -> None:
        """Check the shapes; raises ValueError on a ragged table."""
        s = len(self.alpha)
        triangular = {"A": self.A, "C": self.C}
        for label, rows in triangular.items():
            if [len(row) for row in rows] != list(range(s)):
                raise ValueError(
                    f"Argument `{label}` must have rows of length 0, 1, ..., {s - 1}, but {self.name} has not."
                )
        if len(self.gamma_i) != s or any(len(row) != s for row in self.H):
            raise ValueError(f"Arguments `gamma_i` and rows of `H` must have length {s}, but {self.name} has not.")

    @property
    def stages(self) -> int:
        """Number of stages s: one evaluation of f and one linear solve each."""
        return len(self.alpha)

    @property
    def square_A(self) -> tuple[Row, ...]:
        """`A` padded with zeros to `(stages, stages)`."""
        return _padded(self.A)

    @property
    def square_C(self) -> tuple[Row, ...]:
        """`C` padded with zeros to `(stages, stages)`."""
        return _padded(self.C)


def _padded(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(row + (0.0,) * (len(rows) - len(row)) for row in rows)


_P5_LAST = (-7.502846399306121, 2.561846144803919, -11.627539656261098, -0.18268767659942256, 0.030198172008377946)

RODAS5P = RosenbrockTableau(
    name="Rodas5P",
    order=5,
    embedded_order=4,
    dense_order=4,
    gamma=0.21193756319429014,
    A=(
        (),
        (3.0,),
        (2.849394379747939, 0.45842242204463923),
        (-6.954028509809101, 2.489845061869568, -10.358996098473584),
        (2.8029986275628964, 0.5072464736228206, -0.3988312541770524, -0.04721187230404641),
        _P5_LAST,
        (*_P5_LAST, 1.0),
        (*_P5_LAST, 1.0, 1.0),
    ),
    C=(
        (),
        (-14.155112264123755,),
        (-17.97296035885952, -2.859693295451294),
        (147.12150275711716, -1.41221402718213, 71.68940251302358),
        (165.43517024871676, -0.4592823456491126, 42.90938336958603, -5.961986721573306),
        (24.854864614690072, -3.0009227002832186, 47.4931110020768, 5.5814197821558125, -0.6610691825249471),
        (
            30.91273214028599,
            -3.1208243349937974,
            77.79954646070892,
            34.28646028294783,
            -19.097331116725623,
            -28.087943162872662,
        ),
        (
            37.80277123390563,
            -3.2571969029072276,
            112.26918849496327,
            66.9347231244047,
            -40.06618937091002,
            -54.66780262877968,
            -9.48861652309627,
        ),
    ),
    alpha=(0.0, 0.6358126895828704, 0.4095798393397535, 0.9769306725060716, 0.4288403609558664, 1.0, 1.0, 1.0),
    gamma_i=(
        0.21193756319429014,
        -0.42387512638858027,
        -0.3384627126235924,
        1.8046452872882734,
        2.325825639765069,
        0.0,
        0.0,
        0.0,
    ),
    H=(
        (
            25.948786856663858,
            -2.5579724845846235,
            10.433815404888879,
            -2.3679251022685204,
            0.524948541321073,
            1.1241088310450404,
            0.4272876194431874,
            -0.17202221070155493,
        ),
        (
            -9.91568850695171,
            -0.9689944594115154,
            3.0438037242978453,
            -24.495224566215796,
            20.176138334709044,
            15.98066361424651,
            -6.789040303419874,
            -6.710236069923372,
        ),
        (
            11.419903575922262,
            2.8879645146136994,
            72.92137995996029,
            80.12511834622643,
            -52.072871366152654,
            -59.78993625266729,
            -0.15582684282751913,
            4.883087185713722,
        ),
    ),
    source="Steinebach G (2023). BIT Numerical Mathematics 63:27. doi:10.1007/s10543-023-00967-x",
)
"""Order 5(4), 8 stages, dense output of order 4; keeps its order on stiff and index-1 problems."""

_4P_LAST = (-7.170454962423024, -4.741636671481785, -16.31002631330971, -1.062004044111401)

RODAS4P = RosenbrockTableau(
    name="Rodas4P",
    order=4,
    embedded_order=3,
    dense_order=3,
    gamma=0.25,
    A=(
        (),
        (3.0,),
        (1.831036793486759, 0.4955183967433795),
        (2.304376582692669, -0.05249275245743001, -1.176798761832782),
        _4P_LAST,
        (*_4P_LAST, 1.0),
    ),
    C=(
        (),
        (-12.0,),
        (-8.791795173947035, -2.207865586973518),
        (10.81793056857153, 6.780270611428266, 19.5348594464241),
        (34.19095006749676, 15.49671153725963, 54.7476087596413, 14.16005392148534),
        (34.62605830930532, 15.30084976114473, 56.99955578662667, 18.40807009793095, -5.714285714285717),
    ),
    alpha=(0.0, 0.75, 0.21, 0.63, 1.0, 1.0),
    gamma_i=(0.25, -0.5, -0.023504, -0.0362, 0.0, 0.0),
    H=(
        (25.09876703708589, 11.62013104361867, 28.49148307714626, -5.664021568594133, 0.0, 0.0),
        (1.638054557396973, -0.7373619806678748, 8.47791821923899, 15.9925314877952, -1.882352941176471, 0.0),
    ),
    source="Steinebach G (1995). Order reduction of ROW methods for DAEs and method of lines applications. "
    "Preprint 1741, TH Darmstadt; Hairer E, Wanner G (1996), section IV.7, doi:10.1007/978-3-642-05221-7",
)
"""Order 4(3), 6 stages, dense output of order 3; fewer solves per step, for loose tolerances or many states."""
