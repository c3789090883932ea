"""Every operation that is served, driven by boto3, and every answer held against AWS's service model (`operations/answers.py`). Each service
has a file of scenarios in `operations/`; an operation that no scenario calls fails the test, and so does a listing that none pages."""

import functools
import importlib
import inspect
import json
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
from boto3.session import Session

from operations import served_operations
from operations.broken import WRONG_TYPE, broken_inputs
from operations.session import Aws, checked_client, token_and_limit
from server import ROOT

SERVED = served_operations()
# Scenarios that run at once.
PARALLEL = 4
# They have the parameters for pages, of which AWS's documentation says that they are not supported.
NOT_PAGED = {"apigateway.GetTags"}


@pytest.mark.parametrize("service", SERVED)
def test_every_operation_is_called(server, backend, pki, service):
    calls = set()
    scenarios = scenarios_of(service)
    with ThreadPoolExecutor(PARALLEL) as pool:
        running = {name: pool.submit(scenario, Aws(server, backend, pki, calls)) for name, scenario in scenarios.items()}
    failed = [error for error in (run.exception() for run in running.values()) if error]
    if failed:
        raise failed[0] if len(failed) == 1 else BaseExceptionGroup(f"scenarios of {service}", failed)
    assert {name for name in SERVED[service] if f"{service}.{name}" not in calls} == set(), "no scenario calls these"
    assert {name for name in paged(server, service) if f"paged {service}.{name}" not in calls} == set(), "no scenario pages these"


def scenarios_of(service):
    """The public functions of a service's file that take `aws` alone."""
    module = importlib.import_module(f"operations.{service}")
    functions = {name: found for name, found in vars(module).items() if getattr(found, "__module__", None) == module.__name__}
    return {name: found for name, found in functions.items() if [*inspect.signature(found).parameters] == ["aws"]}


def paged(server, service):
    """The operations that are served and answer in pages."""
    model = server.client(service).meta.service_model
    names = [name for name in SERVED[service] if f"{service}.{name}" not in NOT_PAGED]
    return [name for name in names if all(token_and_limit(model.operation_model(name)))]


@pytest.mark.parametrize("service", [service for service in SERVED if service != "s3"])
def test_an_input_that_breaks_the_model_is_refused(server, service):
    """Each constraint of each member of each operation, broken alone: AWS's code and sentence, and nothing is changed."""
    client = checked_client(Session(), server, service, "us-west-1", parameter_validation=False)
    before = revision(server)
    inputs = [(name, broken) for name in SERVED[service] for broken in broken_inputs(client.meta.service_model.operation_model(name))]
    with ThreadPoolExecutor(PARALLEL) as pool:
        findings = [found for found in pool.map(lambda one: refused(client, service, *one), inputs) if found]
    assert findings == [], f"{len(findings)} of {len(inputs)}"
    assert revision(server) == before


def refused(client, service, name, broken):
    """What is wrong with the answer to a broken input; nothing when it is as it should be."""
    try:
        client._make_api_call(name, broken.parameters)
    except botocore.exceptions.ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if broken.what == WRONG_TYPE:
            wanted = code == "SerializationException"
        else:
            wanted = code == validation_code(service) and "failed to satisfy constraint" in message and f"'{broken.path}'" in message
        return None if wanted else f"{name}, {broken.path} {broken.what}: {code}: {message}"
    return f"{name}, {broken.path} {broken.what}: accepted: {broken.parameters}"


@functools.cache
def validation_code(service):
    """The code that the service has for inputs that break its model."""
    generated = (ROOT / f"crates/aws/src/generated/{service}.rs").read_text()
    return re.search(r'validation_code: "(\w+)"', generated)[1]


def revision(server):
    with urllib.request.urlopen(f"{server.control}/_countersign/health", timeout=10) as answer:
        return json.load(answer)["revision"]
