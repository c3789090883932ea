"""A REST API (API Gateway v1) behind a domain with mutual TLS."""

import json

from functions import invocations
from gateway import Gateway

LOG_FORMAT = json.dumps({name: f"$context.{name}" for name in (
    "requestId", "extendedRequestId", "resourceId", "resourcePath", "deploymentId", "routeKey", "status", "path",
    "error.message", "error.responseType", "identity.clientCert.subjectDN", "integration.error", "integration.status",
    "integrationStatus")})


class RestGateway(Gateway):
    """A REST API with `GET /pets/{id}` and `ANY /files/{proxy+}` at the stage `prod`."""

    def create_api(self):
        self.rest = self.server.client("apigateway")
        created = self.rest.create_rest_api(name=self.domain, endpointConfiguration={"types": ["REGIONAL"]})
        self.api_id, self.root = created["id"], created["rootResourceId"]
        self.pet = self.add("pets/{id}", "GET", f"{self.backend.url}/animals/{{name}}", {
            "integration.request.path.name": "method.request.path.id",
            "integration.request.querystring.dn": "context.identity.clientCert.subjectDN",
            "integration.request.header.x-from": "'gateway'",
        })
        self.add("files/{proxy+}", "ANY", f"{self.backend.url}/{{proxy}}", {"integration.request.path.proxy": "method.request.path.proxy"})
        self.logs.create_log_group(logGroupName=self.log_group)
        self.deployment = self.rest.create_deployment(restApiId=self.api_id, stageName="prod")["id"]
        self.patch_stage(("replace", "/accessLogSettings/destinationArn", self.log_group_arn), ("replace", "/accessLogSettings/format", LOG_FORMAT))

    def add(self, path, method, uri, parameters, **of_method):
        """A method of a resource, with the resources above it; answers the resource's id."""
        place = self.place(path, method)
        named = {value: True for value in parameters.values() if value.startswith("method.")}
        self.rest.put_method(**place, **{"authorizationType": "NONE", "requestParameters": named, **of_method})
        self.rest.put_integration(**place, type="HTTP_PROXY", integrationHttpMethod=method, uri=uri, requestParameters=parameters)
        return place["resourceId"]

    def add_function(self, path, method, name, uri=None, timeout=None, **of_method):
        """The same with a Lambda function behind it."""
        place = self.place(path, method)
        more = {"timeoutInMillis": timeout} if timeout else {}
        self.rest.put_method(**place, **{"authorizationType": "NONE", **of_method})
        self.rest.put_integration(**place, type="AWS_PROXY", integrationHttpMethod="POST", uri=uri or invocations(name), **more)
        return place["resourceId"]

    def place(self, path, method):
        parent = self.root
        for part in path.split("/"):
            parent = self.rest.create_resource(restApiId=self.api_id, parentId=parent, pathPart=part)["id"]
        return {"restApiId": self.api_id, "resourceId": parent, "httpMethod": method}

    def deploy(self):
        self.deployment = self.rest.create_deployment(restApiId=self.api_id, stageName="prod")["id"]
        self.server.settle()

    def patch_stage(self, *operations):
        self.rest.update_stage(restApiId=self.api_id, stageName="prod", patchOperations=patches(*operations))
        self.server.settle()


def patches(*operations):
    return [{"op": op, "path": path, "value": value} for op, path, value in operations]
