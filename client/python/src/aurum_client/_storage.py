"""Results as plain data, for JSON and databases, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from aurum_client._text import cut, shown


class Storable:
    """A dataclass that can be stored as JSON.

    Array fields are annotated with their dtype and shape; -1 stands for any size.
    """

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as data that ``json.dumps`` takes: arrays become lists of numbers."""
        data: dict[str, Any] = _plain(self)
        return data

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """Return the result whose :meth:`to_dict` is ``stored``; unknown keys are ignored.

        Raises:
            ValueError: a field is missing or has the wrong type or shape.
        """
        if not isinstance(stored, Mapping):
            raise ValueError(f"not a stored {cls.__name__}: {shown(stored)}")
        hints = get_type_hints(cls, include_extras=True)
        values: dict[str, Any] = {}
        for field in fields(cls):  # type: ignore[arg-type]
            if field.name in stored:
                try:
                    values[field.name] = _restored(hints[field.name], stored[field.name])
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    what = f"not a stored {cls.__name__}: field {field.name!r}"
                    # Without the cause: numpy's and ours may repeat a long value.
                    raise ValueError(f"{what}: {cut(str(error), 200)}") from None
            elif field.default is MISSING and field.default_factory is MISSING:
                raise ValueError(f"not a stored {cls.__name__}: no field {field.name!r}")
        return cls(**values)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    if isinstance(value, Mapping):  # JSON's keys are text
        return {str(key): item for key, item in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _restored(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (other,) = (item for item in arguments if item is not NoneType)
        return None if value is None else _restored(other, value)
    if origin is Annotated:
        return _array(value, *arguments[1])
    if origin is tuple:
        return tuple(_restored(kind, item) for kind, item in zip(arguments, value, strict=True))
    if origin is Mapping:
        return {float(key): _restored(float, item) for key, item in value.items()}
    return hint.from_dict(value) if issubclass(hint, Storable) else _scalar(hint, value)


def _array(value: Any, dtype: Any, *shape: int) -> Any:
    array = np.array(value, dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _scalar(kind: Any, value: Any) -> Any:
    if issubclass(kind, tuple):  # a NamedTuple
        return kind(**{name: _scalar(float, value[name]) for name in kind._fields})
    if kind is float and type(value) is int:  # JSON writes 1.0 as 1 in some languages
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"{shown(value)} is not of type {kind.__name__}")
    return value
