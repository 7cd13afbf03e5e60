"""What is to be known of a situation before it is played."""

from collections.abc import Callable
from typing import TypeVar

Function = TypeVar("Function", bound=Callable[..., object])


def takes_long(function: Function) -> Function:
    """Play it beside the others: it does little but wait."""
    setattr(function, "takes_long", True)
    return function


def not_in(*languages: str) -> Callable[[Function], Function]:
    """Leave it out where there is nothing of the kind."""

    def mark(function: Function) -> Function:
        setattr(function, "not_in", languages)
        return function

    return mark
