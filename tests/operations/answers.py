"""Every answer held against AWS's service model, byte by byte of what came over the wire: only members that the model knows, those
that it requires, values of its types, enumerations and bounds, and errors that it names. botocore itself skips what it does not know."""

import json
import re
import xml.etree.ElementTree as xml
from datetime import datetime

# Errors of all services, which the models do not name.
COMMON_ERRORS = {
    "AccessDenied", "AccessDeniedException", "IncompleteSignatureException", "InvalidAction", "InvalidSignatureException", "MissingAuthenticationTokenException",
    "SerializationException", "UnknownOperationException", "ValidationError", "ValidationException"}
ARN = re.compile(r"arn:aws[\w-]*:[a-z0-9-]+:[a-z0-9-]*:(\d{12}|aws)?:\S+")
JSON_TYPES = {"structure": dict, "map": dict, "list": list, "string": str, "blob": str, "boolean": bool, "integer": int, "long": int}


def check_answer(operation, status, headers, body):
    """Fails with all that is wrong with an answer to `operation` (botocore's model of it)."""
    findings = Findings()
    where = f"{operation.service_model.service_name} {operation.name}: {status}"
    # What S3 says for an operation that it does not have.
    if status >= 500 and (status, operation.service_model.service_name) != (501, "s3"):
        findings.add("", "an error of the server")
    elif status >= 300:
        check_error(findings, operation, headers, body)
    else:
        check_success(findings, operation, status, headers, body)
    shown = body[:2000] if isinstance(body, bytes) else "(a stream)"
    assert not findings.all, "\n".join([where, *findings.all, repr(shown)])


class Findings:
    def __init__(self):
        self.all = []

    def add(self, path, what):
        self.all.append(f"  {path or 'the answer'}: {what}")


def check_error(findings, operation, headers, body):
    service = operation.service_model
    if service.protocol in ("json", "rest-json"):
        said = headers.get("x-amzn-errortype") if service.protocol == "rest-json" else json.loads(body).get("__type")
        known = {shape.error_code for shape in service.error_shapes} | COMMON_ERRORS
        if said not in known:
            findings.add("", f"{said!r} is no error of {service.service_name}")


def check_success(findings, operation, status, headers, body):
    service, shape = operation.service_model, operation.output_shape
    if service.protocol in ("json", "query"):
        wanted = 200
    else:
        wanted = operation.http.get("responseCode", 200)
    # S3 has one code of success for most operations in its model, and others in truth.
    if status != wanted and service.service_name != "s3":
        findings.add("", f"the model says {wanted}")
    # Not all of S3's are in AWS's own model.
    if not any(headers.get(name) for name in ("x-amzn-requestid", "x-amz-request-id")) and service.protocol != "query":
        findings.add("", "no request id")
    if shape is None:
        if body and isinstance(body, bytes) and service.protocol != "query":
            findings.add("", "a body, which the model does not know")
        return
    payload = shape.serialization.get("payload")
    if service.protocol == "json":
        check_json(findings, shape, json.loads(body), "", service)
    elif service.protocol == "query":
        root = xml.fromstring(body)
        found = children(root)
        wrapper = shape.serialization.get("resultWrapper")
        if set(found) - {wrapper, "ResponseMetadata"}:
            findings.add("", f"{sorted(found)} beside {wrapper}")
        check_xml(findings, shape, found.get(wrapper, [xml.Element("none")])[0], "")
    else:
        check_headers(findings, shape, headers)
        if payload:
            of = shape.members[payload]
            if of.type_name == "structure" and body:
                check_body(findings, of, body, service)
        else:
            check_body(findings, shape, body, service)


def check_body(findings, shape, body, service):
    if service.protocol == "rest-xml":
        if body:
            check_xml(findings, shape, xml.fromstring(body), "")
    elif body or any("location" not in member.serialization for member in shape.members.values()):
        check_json(findings, shape, json.loads(body), "", service)


def check_headers(findings, shape, headers):
    for name, member in shape.members.items():
        if member.serialization.get("location") == "header" and member.type_name == "string":
            value = headers.get(member.serialization.get("name", name))
            if value is not None:
                check_text(findings, member, value, name)


def check_json(findings, shape, value, path, service):
    """A value of a JSON body."""
    wanted = JSON_TYPES.get(shape.type_name)
    if wanted and (not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))):
        return findings.add(path, f"{value!r} is no {shape.type_name}")
    if shape.type_name == "structure":
        named = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()
                 if member.serialization.get("location") in (None, "statusCode")}
        for name, inner in value.items():
            if name not in named:
                findings.add(f"{path}.{name}", f"not in {shape.name}")
            else:
                check_json(findings, named[name][1], inner, f"{path}.{name}", service)
        for wire, (name, member) in named.items():
            if name in shape.required_members and wire not in value:
                findings.add(f"{path}.{wire}", "required, not there")
    elif shape.type_name == "list":
        for index, item in enumerate(value):
            check_json(findings, shape.member, item, f"{path}[{index}]", service)
    elif shape.type_name == "map":
        for key, item in value.items():
            check_text(findings, shape.key, key, f"{path}.{key} (key)")
            check_json(findings, shape.value, item, f"{path}.{key}", service)
    elif shape.type_name == "string":
        check_text(findings, shape, value, path)
    elif shape.type_name == "timestamp":
        check_time(findings, shape, value, path)


def check_time(findings, shape, value, path):
    if shape.serialization.get("timestampFormat", "unixTimestamp") == "iso8601":
        if not (isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) and datetime.fromisoformat(value)):
            findings.add(path, f"{value!r} is no time of ISO 8601")
    elif not isinstance(value, (int, float)) or not 1e9 < value < 1e11:
        findings.add(path, f"{value!r} is no time in seconds")


def check_text(findings, shape, text, path):
    """A string: what the model says of it, and what it says of all ARNs."""
    if shape.type_name != "string":
        return
    enum, bounds = shape.metadata.get("enum"), shape.metadata
    if enum and text not in enum:
        findings.add(path, f"{text!r} is none of {enum}")
    if not bounds.get("min", 0) <= len(text) <= bounds.get("max", len(text)):
        findings.add(path, f"{text!r} has not the length of {shape.name}: {bounds}")
    pattern = bounds.get("pattern")
    # Of a key that goes in; one that comes out is encrypted, and says so: AWS's guide shows it.
    if shape.name == "PrivateKey" and pattern:
        pattern = pattern.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
    if pattern and not re.fullmatch(python_pattern(pattern), text):
        findings.add(path, f"{text!r} does not match {pattern}")
    if re.search(r"Arn\b", path.rpartition(".")[2]) and text and not ARN.fullmatch(text):
        findings.add(path, f"{text!r} is no ARN")


def python_pattern(pattern):
    """A pattern of the models, which are Java's, as Python reads it: classes of POSIX and Unicode."""
    for java, python in {r"\p{L}": r"\w", r"\p{Z}": r"\s", r"\p{N}": r"\d", r"\p{P}": r"!-/:-@\[-`{-~", r"\p{S}": r"+", r"\p{M}": "", r"\p{C}": "",
                         r"\p{ASCII}": r"\x00-\x7f", r"\p{Print}": r"\x20-\x7e", r"\p{Graph}": r"\x21-\x7e"}.items():
        pattern = pattern.replace(java, python)
    return pattern


def check_xml(findings, shape, element, path):
    """An element of an XML body."""
    if shape.type_name == "structure":
        named = {}
        for name, member in shape.members.items():
            if member.serialization.get("location") is None and not member.serialization.get("xmlAttribute"):
                named[wire_name(name, member)] = (name, member)
        found = children(element)
        for wire, elements in found.items():
            if wire not in named:
                findings.add(f"{path}.{wire}", f"not in {shape.name}")
                continue
            name, member = named[wire]
            if member.type_name == "list" and member.serialization.get("flattened"):
                for index, item in enumerate(elements):
                    check_xml(findings, member.member, item, f"{path}.{wire}[{index}]")
            elif len(elements) > 1:
                findings.add(f"{path}.{wire}", "there more than once")
            else:
                check_xml(findings, member, elements[0], f"{path}.{wire}")
        for wire, (name, member) in named.items():
            if name in shape.required_members and wire not in found and not member.serialization.get("flattened"):
                findings.add(f"{path}.{wire}", "required, not there")
    elif shape.type_name == "list":
        wanted = shape.member.serialization.get("name", "member")
        for index, item in enumerate(element):
            if local(item) != wanted:
                findings.add(f"{path}[{index}]", f"<{local(item)}> where <{wanted}> belongs")
            check_xml(findings, shape.member, item, f"{path}[{index}]")
    elif shape.type_name == "map":
        for entry in element:
            check_xml(findings, shape.value, children(entry)[shape.value.serialization.get("name", "value")][0], path)
    else:
        check_xml_value(findings, shape, element.text or "", path)


def check_xml_value(findings, shape, text, path):
    if shape.type_name == "string":
        check_text(findings, shape, text, path)
    elif shape.type_name == "timestamp":
        check_time(findings, Iso, text, path)
    elif shape.type_name == "boolean" and text not in ("true", "false"):
        findings.add(path, f"{text!r} is no boolean")
    elif shape.type_name in ("integer", "long") and not re.fullmatch(r"-?\d+", text):
        findings.add(path, f"{text!r} is no number")


class Iso:
    serialization = {"timestampFormat": "iso8601"}


def wire_name(name, member):
    if member.type_name == "list" and member.serialization.get("flattened"):
        return member.serialization.get("name") or member.member.serialization.get("name", name)
    return member.serialization.get("name", name)


def children(element):
    """By local name."""
    found = {}
    for child in element:
        found.setdefault(local(child), []).append(child)
    return found


def local(element):
    return element.tag.rpartition("}")[2]
