"""No call of an unmodified aws CLI leaves the machine after `eval "$(countersign env)"`: shown by what it asks the kernel for."""

import re

import pytest

from aws_cli import AwsCli

# Where a socket may be connected to. Name service look-ups over Unix sockets stay on the machine.
LOCAL = re.compile(r'sa_family=AF_UNIX|AF_UNSPEC|AF_NETLINK|inet_addr\("127\.|"::1"|"::ffff:127\.')
CALLS = {
    "s3": ["s3", "ls"],
    "s3api": ["s3api", "list-buckets"],
    "a bucket": ["s3", "ls", "s3://your-bucket/"],
    "acm": ["acm", "list-certificates"],
    "apigatewayv2": ["apigatewayv2", "get-apis"],
    "logs": ["logs", "describe-log-groups"],
    "sts": ["sts", "get-caller-identity"],
}


@pytest.fixture(scope="module", autouse=True)
def bucket(server):
    server.client("s3").create_bucket(Bucket="your-bucket")


@pytest.mark.parametrize("call", CALLS)
def test_no_call_leaves_loopback(aws, call, tmp_path):
    trace = tmp_path / "trace"
    # The function that `env` defines has to be followed too: so it is the shell that is traced.
    aws.run("aws", *CALLS[call], script=f'strace -f -qq -e trace=connect,sendto,sendmsg,sendmmsg -o {trace} bash -c "$(declare -f aws)"\'; "$@"\' bash "$@"')
    went = [line for line in trace.read_text().splitlines() if "sin_addr" in line or "sin6_addr" in line]
    assert any("127.0.0.1" in line for line in went), "the CLI did not even call the server"
    assert [line for line in went if not LOCAL.search(line)] == []


def test_the_proof_can_fail(server, tmp_path):
    """Without the endpoint the same CLI does go elsewhere (or tries to): the trace shows it."""
    aws = AwsCli(server, "v1")
    trace = tmp_path / "trace"
    aws.run(
        "aws", "sts", "get-caller-identity", "--endpoint-url", "http://192.0.2.1", "--cli-connect-timeout", "1",
        script=f'export AWS_MAX_ATTEMPTS=1; unset -f aws; strace -f -qq -e trace=connect -o {trace} "$@"')
    assert any(not LOCAL.search(line) for line in trace.read_text().splitlines() if "sin_addr" in line)
