"""Inputs made from AWS's service model that break one constraint each, and are right otherwise."""

import re
from dataclasses import dataclass

from operations.answers import python_pattern

MAX_DEPTH = 6
WRONG_TYPE = "of another type"
# Longer values are not made: a bound beyond this is one of the body's size.
MAX_LENGTH = 100_000
# Characters of which none is in most classes; the last two are letters beyond ASCII.
STRANGE = ("!", " ", "/", "^", "\u00e9", "\u4e2d", "a", "0")


@dataclass
class Broken:
    """Parameters for boto3, and what is wrong with them."""

    what: str
    # As AWS's messages write it: `tags.1.member.key`.
    path: str
    parameters: dict

def broken_inputs(operation):
    """All of an operation's (botocore's model)."""
    shape = operation.input_shape
    if shape is None:
        return
    base = valid(shape)
    for path, what, value in breaks(shape, (), 0):
        if is_sendable(operation, path, value, what):
            yield Broken(what, shown(shape, path), at(shape, base, path, value))


def shown(shape, path):
    words = []
    for part in path:
        if shape.type_name == "list":
            words, shape = [*words, "1.member"], shape.member
        else:
            shape = shape.members[part]
            name = shape.serialization.get("name", part)
            words.append(name[:1].lower() + name[1:])
    return ".".join(words)


def breaks(shape, path, depth):
    """(path, what, value): a value of None is a member that is not there."""
    if depth > MAX_DEPTH:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if name in shape.required_members:
                yield (*path, name), "required", None
            yield from breaks(member, (*path, name), depth + 1)
    elif shape.type_name == "list":
        yield from lengths(shape, path, lambda length: [item(shape.member)] * length)
        yield from breaks(shape.member, (*path, 0), depth + 1)
    elif shape.type_name == "map":
        yield from lengths(shape, path, lambda length: {f"{valid(shape.key)}{n}": valid(shape.value) for n in range(length)})
    elif shape.type_name == "string":
        yield from of_text(shape, path)
        yield path, WRONG_TYPE, 7
    elif shape.type_name in ("integer", "long"):
        if "min" in shape.metadata:
            yield path, "below its minimum", shape.metadata["min"] - 1
        if "max" in shape.metadata and shape.metadata["max"] < 2**31 - 1:
            yield path, "above its maximum", shape.metadata["max"] + 1
        yield path, WRONG_TYPE, "seven"
    elif shape.type_name == "boolean":
        yield path, WRONG_TYPE, "yes"
    elif shape.type_name == "blob":
        yield from lengths(shape, path, lambda length: b"a" * length)


def of_text(shape, path):
    yield from lengths(shape, path, lambda length: longer(valid(shape), length))
    if shape.metadata.get("enum"):
        yield path, "none of its values", "NoSuchValue"
    pattern = shape.metadata.get("pattern")
    if pattern:
        right = valid(shape)
        for strange in STRANGE:
            value = longer(right, max(len(right), 1))[:-1] + strange
            if not re.fullmatch(python_pattern(pattern), value) and len(value) >= shape.metadata.get("min", 0):
                yield path, "not of its pattern", value
                break


def lengths(shape, path, make):
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", MAX_LENGTH)
    if low > 0:
        yield path, "too short", make(low - 1)
    if high < MAX_LENGTH:
        yield path, "too long", make(high + 1)


def longer(text, length):
    return (text + (text[-1:] or "a") * length)[:length]


def is_sendable(operation, path, value, what):
    """Whether boto3 sends it, as this operation: labels of the path must be there, and types differ in JSON only."""
    shape = operation.input_shape
    location = shape.members[path[0]].serialization.get("location")
    # A body that is not there is an empty one.
    if shape.serialization.get("payload") == path[0] and value is None:
        return False
    if what == WRONG_TYPE and (location or operation.service_model.protocol not in ("json", "rest-json")):
        return False
    if location == "uri":
        return value is not None and value != "" and "/" not in str(value)
    return location not in ("header", "headers") or str(value).isascii()


def at(shape, base, path, value):
    """`base` with a value at a path: what is on the way there is made, all of it valid."""
    if not path:
        return value
    head, *rest = path
    if shape.type_name == "list":
        return [at(shape.member, valid(shape.member), rest, value)]
    changed, member = dict(base), shape.members[head]
    if not rest and value is None:
        changed.pop(head, None)
    else:
        below = base.get(head) if isinstance(base, dict) else None
        changed[head] = at(member, valid(member) if below is None else below, rest, value)
    return changed


def item(shape):
    """A valid item of a list. One without members cannot be written as a form."""
    made = valid(shape)
    if made == {} and shape.type_name == "structure" and shape.members:
        name, member = next(iter(shape.members.items()))
        return {name: valid(member)}
    return made


def valid(shape, depth=0):
    """A value that breaks nothing: of structures only what is required."""
    kind, bounds = shape.type_name, shape.metadata
    if kind == "structure":
        return {name: valid(shape.members[name], depth + 1) for name in shape.required_members} if depth < MAX_DEPTH else {}
    if kind == "list":
        return [valid(shape.member, depth + 1)] * max(bounds.get("min", 0), 1)
    if kind == "map":
        return {f"{valid(shape.key, depth + 1)}": valid(shape.value, depth + 1)}
    if kind == "string":
        return valid_text(shape)
    if kind == "blob":
        return b"a" * max(bounds.get("min", 0), 1)
    if kind == "timestamp":
        return 1_700_000_000
    return {"boolean": True, "float": 1.0, "double": 1.0}.get(kind, max(bounds.get("min", 1), min(bounds.get("max", 1), 1)))


def valid_text(shape):
    """The shortest that it may be, or nearly."""
    if shape.metadata.get("enum"):
        return shape.metadata["enum"][0]
    low, high = shape.metadata.get("min", 0), shape.metadata.get("max", MAX_LENGTH)
    pattern = shape.metadata.get("pattern")
    if not pattern:
        return "a" * max(low, 1)
    for more in (0, 1, 2, 4, low - 1, low):
        text = text_of(re._parser.parse(python_pattern(pattern)), more)
        if low <= len(text) <= high and re.fullmatch(python_pattern(pattern), text):
            return text
    raise AssertionError(f"{shape.name}: no text of {pattern} was found")


def text_of(parsed, more):
    """A text of a parsed regular expression, in which what may be repeated is, up to `more` times beyond what it must be."""
    text = ""
    for kind, what in parsed:
        match str(kind):
            case "LITERAL":
                text += chr(what)
            case "ANY" | "NOT_LITERAL":
                text += "a"
            case "IN":
                text += one_of(what)
            case "MAX_REPEAT" | "MIN_REPEAT":
                low, high, inner = what
                text += text_of(inner, more) * min(high, low + more)
            case "SUBPATTERN":
                text += text_of(what[-1], more)
            case "BRANCH":
                text += text_of(what[1][0], more)
    return text


def one_of(items):
    candidates = ["a", "0", "A", "/", "-", ".", "_", "=", "s", "b", "{", "\n", *map(chr, range(32, 127))]
    return next((c for c in candidates if any(holds(item, c) for item in items) != (str(items[0][0]) == "NEGATE")), "a")


def holds(item, character):
    kind, what = item
    match str(kind):
        case "LITERAL":
            return chr(what) == character
        case "RANGE":
            return what[0] <= ord(character) <= what[1]
        case "CATEGORY":
            classes = {"CATEGORY_WORD": r"\w", "CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S"}
            return bool(re.match(classes[str(what)], character))
    return False
