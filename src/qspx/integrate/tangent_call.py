"""placeholder until the tangent sweep is merged"""


def pushed_forward(*a, **k):
    raise NotImplementedError
