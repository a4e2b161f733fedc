"""AWS by boto3: who a set of keys is, roles assumed with them, and sessions that replace them in time.

boto3 takes half a second to import, so it is imported by what is called and not with this package.
"""

from holdtrue.adapters.aws.identity import caller_identity
from holdtrue.adapters.aws.keys import AwsKeys, worker_keys
from holdtrue.adapters.aws.roles import RoleSession, assume_role, assume_role_with_web_identity
from holdtrue.adapters.aws.sessions import refreshing_session

__all__ = [
    "AwsKeys",
    "RoleSession",
    "assume_role",
    "assume_role_with_web_identity",
    "caller_identity",
    "refreshing_session",
    "worker_keys",
]
