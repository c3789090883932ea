"""Who may call a route: tokens of an issuer, tokens that are bound to the client's certificate, requests that are signed."""

import json
import time
import urllib.parse
import urllib.request

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from aws_cli import AwsCli
from gateway import LOG_FORMAT, Gateway
from iam import Principal, Role, User, allow, document, trust
from issuer import Issuer, thumbprint
from server import eventually

AUTHORIZATION = "$request.header.Authorization"
FORMAT = json.dumps(json.loads(LOG_FORMAT) | {
    "sub": "$context.authorizer.claims.sub",
    "authorizerError": "$context.authorizer.error",
    "caller": "$context.identity.caller",
    "userArn": "$context.identity.userArn",
    "accountId": "$context.identity.accountId",
})


@pytest.fixture(scope="module")
def issuer():
    serving = Issuer()
    yield serving
    serving.close()


@pytest.fixture(scope="module")
def guarded(server, backend, pki, issuer):
    """A domain whose route `GET /guarded` asks for a token, `GET /scoped` for one with a scope, `ANY /signed` for a signature."""
    gateway = Gateway(server, backend, "guarded.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()
    gateway.authorizer = jwt(gateway, issuer.url)
    add_route(gateway, "GET /guarded", authorizer=gateway.authorizer, RequestParameters={
        "append:header.x-user": "$context.authorizer.claims.sub"})
    add_route(gateway, "GET /scoped", authorizer=gateway.authorizer, AuthorizationScopes=["read", "admin"])
    add_route(gateway, "ANY /signed", AuthorizationType="AWS_IAM")
    return gateway


def jwt(gateway, issuer, name="tokens", source=AUTHORIZATION, audience=("api",)):
    return gateway.api.create_authorizer(
        ApiId=gateway.api_id, Name=name, AuthorizerType="JWT", IdentitySource=[source],
        JwtConfiguration={"Issuer": issuer, "Audience": list(audience)})["AuthorizerId"]


def add_route(gateway, key, authorizer=None, RequestParameters=None, **authorization):
    integration = gateway.api.create_integration(
        ApiId=gateway.api_id, IntegrationType="HTTP_PROXY", IntegrationMethod="ANY", PayloadFormatVersion="1.0",
        IntegrationUri=f"{gateway.backend.url}/{key.split('/')[-1]}", RequestParameters=RequestParameters or {})["IntegrationId"]
    if authorizer:
        authorization |= {"AuthorizationType": "JWT", "AuthorizerId": authorizer}
    route = gateway.api.create_route(
        ApiId=gateway.api_id, RouteKey=key, Target=f"integrations/{integration}", **authorization)["RouteId"]
    gateway.server.settle()
    return route


def call(gateway, identity, token=None, path="/guarded", **more):
    header = ["--header", f"Authorization: Bearer {token}"] if token is not None else []
    return gateway.curl(path, identity, *header, **more)


def assert_unauthorized(answer, description):
    assert answer.status == 401 and answer.json() == {"message": "Unauthorized"}, answer
    assert answer.headers["www-authenticate"] == f'Bearer scope="" error="invalid_token" error_description="{description}"'


def test_a_token_lets_its_client_through(guarded, backend, pki, issuer):
    for kid in ("rsa", "ec"):
        for http in ("1.1", "2"):
            assert call(guarded, pki.client(), issuer.token(kid), http=http).status == 200
    assert backend.seen[0].header("x-user") == ["alice"]
    answer = call(guarded, pki.client(), issuer.token(sub="bob"))
    record = guarded.record(requestId=answer.headers["apigw-requestid"])
    assert record["sub"] == "bob" and record["authorizerError"] == "-" and record["status"] == "200"


def test_who_shows_none_is_told_so(guarded, backend, pki):
    answer = call(guarded, pki.client())
    assert answer.status == 401 and answer.headers["www-authenticate"] == "Bearer"
    assert answer.json() == {"message": "Unauthorized"} and backend.seen == []
    record = guarded.record(requestId=answer.headers["apigw-requestid"])
    assert (record["error"], record["responseType"]) == ("Unauthorized", "UNAUTHORIZED")
    assert record["authorizerError"] == "there is no token"


def test_every_token_that_is_not_good_is_refused(guarded, backend, pki, issuer):
    now, stranger = int(time.time()), Issuer()
    stranger.close()
    good = issuer.token()
    other_claims = issuer.token(sub="root").split(".")[1]
    head, claims, signature = good.split(".")
    for token, description in (
        (issuer.token(aud="other"), "the token does not have a valid audience"),
        (issuer.token(aud="other", client_id="api"), "the token does not have a valid audience"),
        (issuer.token(iss="http://127.0.0.1:1"), "the token does not have a valid issuer"),
        (issuer.token(exp=now - 1), "the token has expired"),
        (issuer.token(exp=None), "the token has expired"),
        (issuer.token(nbf=now + 3600), "the token is not valid yet"),
        (issuer.token(iat=now + 3600), "the token is not valid yet"),
        (issuer.token(alg="none"), "the token's signing method is not supported"),
        (issuer.token(alg="HS256"), "the token's signing method is not supported"),
        (issuer.token(alg="PS256"), "the token's signing method is not supported"),
        (stranger.token(iss=issuer.url), "the token's signature is invalid"),
        (f"{head}.{other_claims}.{signature}", "the token's signature is invalid"),
        (f"{head}.{claims}.", "the token's signature is invalid"),
        (f"{head}.{claims}", "the token is malformed"),
        ("x", "the token is malformed"),
    ):
        assert_unauthorized(call(guarded, pki.client(), token), description)
    assert backend.seen == []
    assert call(guarded, pki.client(), issuer.token(aud=None, client_id="api")).status == 200
    with urllib.request.urlopen(f"{guarded.server.control}/_countersign/metrics", timeout=20) as answer:
        metrics = answer.read().decode()
    assert 'countersign_denials_total{domain="guarded.yourcompany.com",reason="TokenAudience"} 2' in metrics


def test_a_scope_is_asked_for(guarded, backend, pki, issuer):
    for claims in ({"scope": "write read"}, {"scp": ["admin"]}):
        assert call(guarded, pki.client(), issuer.token(**claims), "/scoped").status == 200
    backend.clear()
    answer = call(guarded, pki.client(), issuer.token(scope="write"), "/scoped")
    assert answer.status == 403 and answer.json() == {"message": "Forbidden"} and backend.seen == []
    assert answer.headers["www-authenticate"].startswith('Bearer scope="read admin" error="insufficient_scope"')


def test_a_client_without_certificate_is_refused_before_its_token(guarded, backend, issuer):
    answer = call(guarded, None, issuer.token())
    assert answer.status == 403 and "www-authenticate" not in answer.headers and backend.seen == []


def test_keys_rotate(guarded, pki, issuer):
    assert call(guarded, pki.client(), issuer.token()).status == 200
    issuer.add("next", "ES384")
    # A new key is looked for, though not for every name of a key that somebody thinks of.
    eventually(lambda: call(guarded, pki.client(), issuer.token("next")).status == 200, timeout_s=30)
    asked = issuer.asked
    issuer.add("unpublished", "ES256", publish=False)
    for _ in range(20):
        assert_unauthorized(call(guarded, pki.client(), issuer.token("unpublished")), "the token's key is not one of the issuer")
    assert issuer.asked - asked <= 4


def test_an_issuer_that_is_down(server, guarded, backend, pki):
    down = Issuer()
    authorizer = jwt(guarded, down.url, "down")
    add_route(guarded, "GET /down", authorizer=authorizer)
    assert call(guarded, pki.client(), down.token(), "/down").status == 200
    down.close()
    assert call(guarded, pki.client(), down.token(sub="carol"), "/down").status == 200, "its keys are known"
    never = Issuer()
    never.close()
    add_route(guarded, "GET /never", authorizer=jwt(guarded, never.url, "never"))
    assert_unauthorized(call(guarded, pki.client(), never.token(), "/never"), "the issuer's keys cannot be fetched")


def test_bound_tokens(server, backend, pki, issuer):
    gateway = Gateway(server, backend, "bound.yourcompany.com", pki.ca().pem, log_format=FORMAT).create()
    add_route(gateway, "GET /guarded", authorizer=jwt(gateway, issuer.url))
    alice, eve = pki.client("alice"), pki.client("eve")
    bound = issuer.token(cnf={"x5t#S256": thumbprint(alice)})
    elsewhere, unbound = "the token is bound to another client certificate", "the token is not bound to a client certificate"
    # What a token says of itself holds from the start.
    assert call(gateway, alice, bound).status == 200
    assert_unauthorized(call(gateway, eve, bound), elsewhere)
    assert call(gateway, eve, issuer.token()).status == 200
    arn = f"arn:aws:apigateway:us-east-1::/apis/{gateway.api_id}"
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:bound-tokens": "required"})
    server.settle()
    assert call(gateway, alice, bound).status == 200
    backend.clear()
    assert_unauthorized(call(gateway, eve, bound), elsewhere)
    answer = call(gateway, eve, issuer.token())
    assert_unauthorized(answer, unbound)
    assert backend.seen == []
    record = gateway.record(requestId=answer.headers["apigw-requestid"])
    assert record["authorizerError"] == unbound and record["subjectDN"] == "C=US,O=Example,CN=eve"
    gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:bound-tokens": "off"})
    server.settle()
    assert call(gateway, eve, bound).status == 200
    # The stricter of the API's and the domain's.
    gateway.api.tag_resource(
        ResourceArn=f"arn:aws:apigateway:us-east-1::/domainnames/{gateway.domain}", Tags={"countersign:bound-tokens": "required"})
    gateway.wait_available()
    assert_unauthorized(call(gateway, eve, issuer.token()), unbound)
    with pytest.raises(ClientError, match="Expected: off, when-present, required"):
        gateway.api.tag_resource(ResourceArn=arn, Tags={"countersign:bound-tokens": "yes"})


def signed(gateway, path="/signed", method="GET", body=b"", service="execute-api", region="us-east-1", secret=None, headers=None, auth=SigV4Auth, by=None):
    """A request, signed by botocore: arguments for curl."""
    env = gateway.server.env
    key = Credentials(env["AWS_ACCESS_KEY_ID"], secret or env["AWS_SECRET_ACCESS_KEY"])
    if by:
        key = Credentials(*by.keys.values())
    request = AWSRequest(method=method, url=f"https://{gateway.domain}{path}", data=body, headers=headers or {})
    auth(key, service, region).add_auth(request)
    args = ["--request", method]
    for name, value in request.headers.items():
        args += ["--header", f"{name}: {value}"]
    if body:
        args += ["--data-binary", body.decode(), "--header", "Content-Type:"]
    url = urllib.parse.urlsplit(request.url)
    return url.path + (f"?{url.query}" if url.query else ""), args


def send(gateway, identity, path, args, **more):
    return gateway.curl(path, identity, *args, **more)


def test_a_signed_request(guarded, backend, pki):
    for http in ("1.1", "2"):
        for method, body, path in (("GET", b"", "/signed"), ("GET", b"", "/signed?b=2&a=1%20%26"), ("POST", b'{"a": 1}', "/signed")):
            answer = send(guarded, pki.client(), *signed(guarded, path, method, body), http=http)
            assert answer.status == 200 and answer.json()["length"] == len(body), answer
    record = guarded.record(requestId=answer.headers["apigw-requestid"])
    assert record["accountId"] == "123456789012" and record["userArn"].startswith("arn:aws:iam::123456789012:")
    assert record["caller"] != "-"
    assert send(guarded, pki.client(), *signed(guarded, auth=lambda *a: SigV4QueryAuth(*a, expires=60))).status == 200


def test_policies_say_who_may_invoke(guarded, server, pki):
    route = f"arn:aws:execute-api:us-east-1:123456789012:{guarded.api_id}"

    def status(by, **request):
        server.settle()
        return send(guarded, pki.client(), *signed(guarded, by=by, **request)).status

    user = User(server)
    assert status(user) == 403
    user.may(allow("execute-api:Invoke", f"{route}/*/GET/signed"))
    assert (status(user), status(user, method="POST")) == (200, 403)
    user.may(allow("execute-api:Invoke", f"{route}/*", Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}))
    assert status(user) == 403
    user.may(allow("*"), {"Effect": "Deny", "Action": "execute-api:*", "Resource": f"{route}/*/DELETE/*"})
    assert (status(user), status(user, method="DELETE")) == (200, 403)

    role = Role(server, trust({"AWS": user.arn}), allow("execute-api:Invoke", f"{route}/*"))
    taken = Principal.of_session(server, user.client("sts").assume_role(RoleArn=role.arn, RoleSessionName="call")["Credentials"])
    answer = send(guarded, pki.client(), *signed(guarded, by=taken))
    assert answer.status == 200
    assert guarded.record(requestId=answer.headers["apigw-requestid"])["userArn"].endswith(f":assumed-role/{role.name}/call")
    less = user.client("sts").assume_role(RoleArn=role.arn, RoleSessionName="call", Policy=document(allow("s3:*")))
    assert status(Principal.of_session(server, less["Credentials"])) == 403

    key = user.keys["aws_access_key_id"]
    user.iam.update_access_key(UserName=user.name, AccessKeyId=key, Status="Inactive")
    assert status(user) == 403


def test_a_large_payload_is_held_until_it_is_known_who_signed_it(guarded, backend, pki):
    path, args = signed(guarded, method="POST", body=b"x" * 100_000)
    assert send(guarded, pki.client(), path, args).json()["length"] == 100_000
    backend.clear()
    place = args.index("x" * 100_000)
    args[place] = "x" * 99_999 + "y"
    assert send(guarded, pki.client(), path, args).status == 403
    assert backend.seen == []


def test_what_is_not_signed_or_not_so_is_refused(guarded, backend, pki):
    path, args = signed(guarded, method="POST", body=b"abc")
    changed = [arg.replace("abc", "abd") if arg == "abc" else arg for arg in args]
    hashed = {"x-amz-content-sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
    for why, (path, args) in {
        "not signed": ("/signed", []),
        "another payload": (path, changed),
        "another payload than its hash": signed(guarded, method="POST", body=b"abc", headers=hashed),
        "another path": ("/signed?x=1", signed(guarded)[1]),
        "another service": signed(guarded, service="apigateway"),
        "another region": signed(guarded, region="eu-west-1"),
        "another secret": signed(guarded, secret="wrong"),
        "streamed": signed(guarded, headers={"x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}),
        "a token": ("/signed", ["--header", "Authorization: Bearer a.b.c"]),
    }.items():
        answer = send(guarded, pki.client(), path, args)
        assert (answer.status, answer.json()) == (403, {"message": "Forbidden"}), why
    assert backend.seen == []
    unsigned = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    assert send(guarded, pki.client(), *signed(guarded, method="POST", body=b"abc", headers=unsigned)).status == 200


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_aws_cli_sets_authorizers(server, backend, pki, issuer, version):
    aws = AwsCli(server, version)
    api_id = aws("apigatewayv2", "create-api", "--name", "cli", "--protocol-type", "HTTP")["ApiId"]
    made = aws(
        "apigatewayv2", "create-authorizer", "--api-id", api_id, "--name", "tokens", "--authorizer-type", "JWT",
        "--identity-source", AUTHORIZATION, "--jwt-configuration", f"Audience=api,Issuer={issuer.url}")
    authorizer = made["AuthorizerId"]
    assert made == {
        "AuthorizerId": authorizer, "AuthorizerType": "JWT", "IdentitySource": [AUTHORIZATION], "Name": "tokens",
        "JwtConfiguration": {"Audience": ["api"], "Issuer": issuer.url}}
    of = ("--api-id", api_id, "--authorizer-id", authorizer)
    assert aws("apigatewayv2", "get-authorizer", *of) == made
    assert aws("apigatewayv2", "get-authorizers", "--api-id", api_id)["Items"] == [made]
    assert aws("apigatewayv2", "update-authorizer", *of, "--name", "renamed")["Name"] == "renamed"
    route = aws(
        "apigatewayv2", "create-route", "--api-id", api_id, "--route-key", "GET /x", "--authorization-type", "JWT",
        "--authorizer-id", authorizer, "--authorization-scopes", "read")
    assert (route["AuthorizationType"], route["AuthorizerId"], route["AuthorizationScopes"]) == ("JWT", authorizer, ["read"])
    refused = aws("apigatewayv2", "delete-authorizer", *of, check=False)
    assert refused.returncode != 0 and "ConflictException" in refused.stderr
    of_route = ("--api-id", api_id, "--route-id", route["RouteId"])
    open_again = aws("apigatewayv2", "update-route", *of_route, "--authorization-type", "NONE")
    assert open_again["AuthorizationType"] == "NONE" and "AuthorizerId" not in open_again
    aws("apigatewayv2", "delete-authorizer", *of)
    assert "NotFoundException" in aws("apigatewayv2", "get-authorizer", *of, check=False).stderr


def test_what_is_not_served_is_refused_when_it_is_set(server, guarded, issuer):
    api = guarded.api
    good = {
        "ApiId": guarded.api_id, "Name": "x", "AuthorizerType": "JWT", "IdentitySource": [AUTHORIZATION],
        "JwtConfiguration": {"Issuer": issuer.url, "Audience": ["api"]}}
    for wrong, message in (
        ({"AuthorizerType": "REQUEST"}, "jwtConfiguration is not supported for REQUEST authorizers"),
        ({"IdentitySource": []}, "exactly one identitySource"),
        ({"IdentitySource": [AUTHORIZATION, "$request.querystring.t"]}, "exactly one identitySource"),
        ({"IdentitySource": ["Authorization"]}, "Invalid mapping expression"),
        ({"JwtConfiguration": {"Audience": ["api"]}}, "Issuer is required"),
        ({"JwtConfiguration": {"Issuer": issuer.url}}, "Audience is required"),
        ({"JwtConfiguration": {"Issuer": "http://id.example", "Audience": ["api"]}}, "Invalid issuer"),
        ({"AuthorizerUri": "arn:aws:x"}, "not supported for JWT authorizers"),
        ({"Name": "tokens"}, "must be unique"),
    ):
        with pytest.raises(ClientError, match=message) as refused:
            api.create_authorizer(**(good | wrong))
        assert refused.value.response["Error"]["Code"] == "BadRequestException"
    route = {"ApiId": guarded.api_id, "RouteKey": "GET /wrong"}
    for wrong, message in (
        ({"AuthorizationType": "JWT"}, "Setting the authorization type to JWT requires a valid JWT authorizer"),
        ({"AuthorizationType": "JWT", "AuthorizerId": "nobody"}, "requires a valid JWT authorizer"),
        ({"AuthorizationType": "CUSTOM", "AuthorizerId": guarded.authorizer}, "requires a valid authorizer"),
        ({"AuthorizationType": "AWS_IAM", "AuthorizationScopes": ["x"]}, "not supported for the authorization type AWS_IAM"),
        ({"AuthorizationType": "NONE", "AuthorizerId": guarded.authorizer}, "not supported for the authorization type NONE"),
        ({"AuthorizationType": "JWT", "AuthorizerId": guarded.authorizer, "AuthorizationScopes": ['a"b']}, "Invalid authorization scope"),
    ):
        with pytest.raises(ClientError, match=message):
            api.create_route(**(route | wrong))


def test_a_deployment_keeps_its_authorizers(server, backend, pki, issuer):
    gateway = Gateway(server, backend, "deployed.yourcompany.com", pki.ca().pem, auto_deploy=False).create()
    authorizer = jwt(gateway, issuer.url)
    add_route(gateway, "GET /guarded", authorizer=authorizer)
    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    server.settle()
    assert call(gateway, pki.client(), issuer.token()).status == 200
    gateway.api.update_authorizer(
        ApiId=gateway.api_id, AuthorizerId=authorizer, JwtConfiguration={"Issuer": issuer.url, "Audience": ["other"]})
    server.settle()
    assert call(gateway, pki.client(), issuer.token()).status == 200
    gateway.api.create_deployment(ApiId=gateway.api_id, StageName="prod")
    server.settle()
    assert_unauthorized(call(gateway, pki.client(), issuer.token()), "the token does not have a valid audience")


def test_a_token_in_the_query_string(server, guarded, pki, issuer):
    add_route(guarded, "GET /query", authorizer=jwt(guarded, issuer.url, "query", "$request.querystring.token"))
    assert guarded.curl(f"/query?token={issuer.token()}", pki.client()).status == 200
    assert guarded.curl("/query", pki.client()).status == 401
