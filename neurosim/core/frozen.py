"""Settings that do not change and are strict: an unknown key is an error, and an error says where and what to write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from neurosim.core.errors import ConfigError, UnknownNameError


class Frozen(BaseModel):
    """Base of every configuration model; what is wrong with one, in Python or in a file, is a `ConfigError`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers know the fields, and that none can be assigned

        def __init__(self, /, **values: Any):
            try:
                super().__init__(**values)
            except ValidationError as error:
                model = type(self)
                raise ConfigError(f"{model.__name__}: {explain(error, model)}") from None

        __init__.__pydantic_base_init__ = True  # models within models are validated without it

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except ValidationError:
                raise ConfigError(self._fixed(name)) from None

        def __delattr__(self, name: str) -> None:
            try:
                super().__delattr__(name)
            except ValidationError:
                raise ConfigError(self._fixed(name)) from None

    @field_validator("*", mode="before")
    @classmethod
    def _no_other_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would turn into a number or a flag: `true` is no 1, "12" is no 12, and 1 is no `true`."""
        field = cls.model_fields.get(info.field_name or "")
        if field is not None:
            known = set(_leaves(field.annotation))
            for given in _values(value):
                if not _fits(given, known):
                    quotes = ", without quotes" if isinstance(given, str) else ""
                    raise ValueError(f"must be {_in_words(known)}{quotes}")
        return value

    @classmethod
    def _fixed(cls, name: str) -> str:
        if name not in cls.model_fields:
            return f"{cls.__name__}: {UnknownNameError('key', name, cls.model_fields)}"
        return (
            f"{cls.__name__}.{name}: settings stay as they were made; make others with .changed({name}=...)"
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What is not as it is by default: a `repr` says what was set, and no more."""
        fields = type(self).model_fields
        for name, value in super().__repr_args__():
            if name not in fields or value != fields[name].get_default(call_default_factory=True):
                yield name, value

    def __str__(self) -> str:
        return repr(self)

    @classmethod
    def parse(cls, values: dict[str, Any], where: str) -> Self:
        """Build from plain values; a fault becomes one line naming field, value, rule and place.

        Raises
        ------
        ConfigError
            If a key is unknown or a value out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{where}: {explain(error, cls)}") from None

    @classmethod
    def of(cls, given: Self | dict[str, Any] | None, where: str) -> Self | None:
        """Return settings as they are given, made of a dict of them, or None.

        Raises
        ------
        ConfigError
            If they are neither, or a dict holds an unknown key or a value out of range.
        """
        if given is None or isinstance(given, cls):
            return given
        if not isinstance(given, dict):
            raise ConfigError(
                f"{where}: expected {cls.__name__}(...) or a dict of its settings, got {type(given).__name__}"
            )
        return cls.parse(given, where)

    def changed(self, **changes: Any) -> Self:
        """Return a validated copy with some fields changed."""
        unknown = set(changes) - set(type(self).model_fields)
        if unknown:
            raise UnknownNameError(f"{type(self).__name__} field", unknown.pop(), type(self).model_fields)
        given = self.model_dump(exclude_unset=True)
        return type(self).parse({**given, **changes}, type(self).__name__)


def _leaves(annotation: Any) -> Iterator[Any]:
    """Types that a field holds, whatever they are packed in; of a `Literal` its values."""
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif parts := get_args(annotation):
        for part in parts[1:] if get_origin(annotation) is dict else parts:
            yield from _leaves(part)
    else:
        yield annotation if isinstance(annotation, type) else Any


def _values(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _values(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _values(part)
    else:
        yield value


def _fits(value: Any, known: set[Any]) -> bool:
    """Whether a number, flag or text is of a type that is known; of others pydantic judges."""
    if not known & {bool, int, float} or any(_is_other(kind) for kind in known):
        return True
    if isinstance(value, bool):
        return bool in known
    if isinstance(value, str):
        return str in known or value in known
    return not isinstance(value, (int, float)) or bool(known & {int, float})


_PLAIN = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): ""}
"""Types that are told apart, and what they are called."""


def _is_other(kind: Any) -> bool:
    return kind is Any or (isinstance(kind, type) and kind not in _PLAIN)


def _in_words(known: set[Any]) -> str:
    values = sorted(repr(kind) for kind in known if not isinstance(kind, type))
    return " or ".join([*(words for kind, words in _PLAIN.items() if kind in known and words), *values])


def merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return settings with some changed, those of a model within a model number by number."""
    both = {**values, **changes}
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            both[name] = merged(values[name], value)
    return both


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Say in one line what pydantic found wrong, with the nearest known key for an unknown one."""
    parts = []
    for fault in error.errors(include_url=False):
        path = ".".join(str(piece) for piece in fault["loc"])
        if fault["type"] == "extra_forbidden":
            *outer, key = fault["loc"]
            within = f" in '{path.rpartition('.')[0]}'" if outer else ""
            known = _model_at(model, outer).model_fields
            parts.append(str(UnknownNameError("key", str(key), known, within)))
        elif fault["type"] == "missing":
            parts.append(f"{path}: {fault['msg']}")
        else:
            message = fault["msg"].removeprefix("Value error, ")
            parts.append(f"{path} = {_shown(fault['input'])}: {message}" if path else message)
    return "; ".join(" ".join(part.split()) for part in parts)


def _model_at(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """Return the model that a fault's path leads to; numbers and keys of a dict stay in the model they hold."""
    for piece in path:
        field = model.model_fields.get(str(piece))
        held = [] if field is None else _models_in(field.annotation)
        if held:
            model = next((each for each in held if each.__name__ in path), held[0])
    return model


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]


def _shown(value: Any) -> str:
    """Return what was given, however large, as a part of a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:60]} ... {text[-15:]}"


class Grown(Frozen):
    """Settings of which some came later: where those are as by default, experiments keep the identities that they had."""

    added: ClassVar[tuple[str, ...]] = ()
    """What came later."""

    @model_serializer(mode="wrap")
    def _as_before_they_were_there(self, dumped: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is not used."""
        found: dict[str, Any] = dumped(self)
        for name in self.added:
            if getattr(self, name) == type(self).model_fields[name].default:
                found.pop(name, None)
        return found
