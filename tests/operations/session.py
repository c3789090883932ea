"""boto3 in a region of its own: remembers what was called, and holds every answer against AWS's model."""

import itertools
import json
import threading
import uuid

import botocore.config
import botocore.exceptions
import pytest
from boto3.session import Session
from botocore.paginate import Paginator

from operations.answers import check_answer

ACCOUNT = "123456789012"
# Parameters that bound a page and that name the next one, where botocore has no paginator.
LIMITS = ("limit", "Limit", "maxResults", "MaxResults", "maxItems", "MaxItems", "MaxKeys")
TOKENS = ("position", "nextToken", "NextToken", "Marker")
PAGES_AT_MOST = 200
# Services whose resources are not a region's, or that a region's name would have to be told (a bucket's).
WITHOUT_REGIONS = {"iam", "route53", "s3", "sts"}


class Aws:
    """What a scenario gets. Resources are a region's, so that scenarios that run at once do not see one another's; those of services that
    have no regions go by names (`unique`)."""

    _numbers = itertools.count(1)
    _creating = threading.Lock()
    _session = Session()

    def __init__(self, server, backend, pki, calls):
        self.server, self.backend, self.pki, self.calls = server, backend, pki, calls
        self.region = f"us-east-{next(self._numbers)}"
        self._clients = {}

    def __getattr__(self, service):
        """A client: `aws.apigatewayv2`."""
        if service.startswith("_"):
            raise AttributeError(service)
        return self.client(service.replace("_", "-"))

    def client(self, service):
        if service not in self._clients:
            with self._creating:
                region = "us-east-1" if service in WITHOUT_REGIONS else self.region
                client = checked_client(self._session, self.server, service, region)
            client.meta.events.register("before-parse", self._remember)
            self._clients[service] = client
        return self._clients[service]

    def _remember(self, operation_model, response_dict, **_):
        if response_dict["status_code"] < 400:
            self.calls.add(f"{operation_model.service_model.service_name}.{operation_model.name}")

    def unique(self, prefix="a"):
        return f"{prefix}{uuid.uuid4().hex[:10]}"

    def arn(self, service, resource, account=ACCOUNT):
        return f"arn:aws:{service}:{self.region}:{account}:{resource}"

    def pages(self, service, operation, at_least=3, mine=None, invent=True, **parameters):
        """Goes through a listing in pages of each size: every item once, in the same order, and never more than were asked for. A token that
        nobody gave out is refused. `mine` takes this scenario's items out of all of them, where others list theirs beside it."""
        client = self.client(service)
        paginator, token = paginator_of(client, operation)
        whole = self._items(paginator, None, mine, parameters)
        assert len(whole) >= at_least, f"{operation}: only {len(whole)} items"
        assert len({json.dumps(item, default=str) for item in whole}) == len(whole), f"{operation}: an item is there twice"
        limits = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape.members
        smallest = max(limits[paginator._limit_key].metadata.get("min", 1), 1)
        for size in range(smallest, smallest + min(len(whole), 4) + 1):
            assert self._items(paginator, size, mine, parameters) == whole, f"{operation} in pages of {size}"
        if invent:
            with pytest.raises(botocore.exceptions.ClientError) as caught:
                getattr(client, operation)(**parameters, **{token: "bm9ib2R5IGdhdmUgdGhpcyBvdXQh"})
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400, caught.value
        self.calls.add(f"paged {service}.{client.meta.method_to_api_mapping[operation]}")
        return whole

    def _items(self, paginator, size, mine, parameters):
        found = []
        pages = paginator.paginate(**parameters, PaginationConfig={"PageSize": size} if size else {})
        for number, page in enumerate(pages):
            assert number < PAGES_AT_MOST, "it does not end"
            items = [item for key in paginator.result_keys for item in as_list(key.search(page))]
            assert size is None or len(items) <= size, f"{len(items)} items in a page of {size}"
            found += [item for item in items if mine is None or mine(item)]
        return found


def as_list(found):
    return list(found.items()) if isinstance(found, dict) else found or []


def checked_client(session, server, service, region, **more):
    """A client every answer of which is held against the model."""
    client = session.client(
        service, endpoint_url=server.control, region_name=region, aws_access_key_id=server.env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.env["AWS_SECRET_ACCESS_KEY"],
        config=botocore.config.Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, max_pool_connections=20, **more))
    client.meta.events.register("before-parse", check)
    return client


def check(operation_model, response_dict, **_):
    check_answer(operation_model, response_dict["status_code"], response_dict["headers"], response_dict["body"])


def paginator_of(client, operation):
    """botocore's paginator of an operation, or one made of its members where botocore has none; and the parameter that takes a token."""
    if client.can_paginate(operation):
        paginator = client.get_paginator(operation)
        return paginator, paginator._input_token[0]
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    token, limit = token_and_limit(model)
    [items] = [name for name, shape in model.output_shape.members.items() if shape.type_name in ("list", "map")]
    paginating = {"input_token": token, "output_token": token, "limit_key": limit, "result_key": items}
    return Paginator(getattr(client, operation), paginating, model), token


def token_and_limit(model):
    """The parameters of an operation for pages; `None` where it has none."""
    members = model.input_shape.members if model.input_shape else {}
    return next((name for name in TOKENS if name in members), None), next((name for name in LIMITS if name in members), None)
