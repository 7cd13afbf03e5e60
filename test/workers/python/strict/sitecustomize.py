"""A Python whose json refuses integers of more than 200 digits."""

import json
from typing import Any

MAX_DIGITS = 200

_loads = json.loads


def _parse_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"integer of {len(digits)} digits")
    return int(digits)


def _strict_loads(text: Any, **options: Any) -> Any:
    return _loads(text, **({"parse_int": _parse_int} | options))


json.loads = _strict_loads
