"""Who calls."""


def identity(aws):
    assert aws.sts.get_caller_identity()["Account"] == "123456789012"
