"""What a name stands for in a problem: an estimated value, a fixed number, or something else in each arm or study."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from qspx._errors import CalibrationError, closest

Number = float | str  # a number, or the name of one
PerGroup = Mapping[str, Mapping[str, Number]]  # name -> arm or study -> number


@dataclasses.dataclass(frozen=True)
class Names:
    """estimated: names of estimated values; fixed: numbers by name; per_arm, per_study: what a name stands for there,
    an arm before a study."""

    estimated: tuple[str, ...]
    fixed: Mapping[str, float]
    per_arm: PerGroup
    per_study: PerGroup

    def of(self, given: Number, arm: str, study: str) -> Number:
        """A number, or the name of an estimated value."""
        if not isinstance(given, str):
            return given
        if (there := self.special(given, arm, study)) is not None:
            return there
        if given in self.estimated:
            return given
        if given in self.fixed:
            return self.fixed[given]
        raise CalibrationError(
            f"`{given}` is neither estimated nor fixed{self._where(given, arm, study)}."
            f"{closest(given, [*self.estimated, *self.fixed])} Add Estimated({given!r}, ...) to `estimated`, or a "
            "number to `fixed`."
        )

    def special(self, name: str, arm: str, study: str) -> Number | None:
        """What it stands for in this arm or study, None where that is nothing special."""
        for said, group in ((self.per_arm, arm), (self.per_study, study)):
            if group in said.get(name, {}):
                found = said[name][group]
                if isinstance(found, str) and found not in self.estimated:
                    if found not in self.fixed:
                        raise CalibrationError(
                            f"`{name}` is to be `{found}` in `{group}`, which is neither estimated nor fixed."
                            f"{closest(found, [*self.estimated, *self.fixed])}"
                        )
                    return self.fixed[found]
                return found
        return None

    def _where(self, given: str, arm: str, study: str) -> str:
        if given in self.per_arm or given in self.per_study:
            return f" in arm `{arm}`" + (f" of study `{study}`" if study else "")
        return ""
