"""Walks through the simulator with boto3 and prints what it saw as JSON. Usage: boto3_walk.py ENDPOINT"""

import json
import sys

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError


def client(service):
    # Releases before mid-2023 take the endpoint from this argument only.
    return boto3.client(service, endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 1}))


def refused(call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        return [e.response["Error"]["Code"], e.response["ResponseMetadata"]["HTTPStatusCode"], type(e).__name__]
    return ["no error", 0, ""]


iam = client("iam")
seen = {"boto3": boto3.__version__, "botocore": botocore.__version__}

pages = [[u["UserName"] for u in page["Users"]] for page in iam.get_paginator("list_users").paginate()]
seen["pages"] = [len(page) for page in pages]
seen["users"] = sum(pages, [])

key = iam.create_access_key(UserName="a")["AccessKey"]
seen["key"] = {"user": key["UserName"], "status": key["Status"], "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
seen["created"] = key["CreateDate"].isoformat()
iam.update_access_key(UserName="a", AccessKeyId=key["AccessKeyId"], Status="Inactive")
seen["listed"] = [[k["AccessKeyId"], k["Status"]] for k in iam.list_access_keys(UserName="a")["AccessKeyMetadata"]]

last = iam.get_access_key_last_used(AccessKeyId=key["AccessKeyId"])
seen["unused"] = last["AccessKeyLastUsed"]  # without a LastUsedDate
used = iam.get_access_key_last_used(AccessKeyId=iam.list_access_keys(UserName="b")["AccessKeyMetadata"][0]["AccessKeyId"])
seen["used"] = [used["UserName"], used["AccessKeyLastUsed"]["ServiceName"], used["AccessKeyLastUsed"]["LastUsedDate"].isoformat()]
iam.delete_access_key(UserName="a", AccessKeyId=key["AccessKeyId"])

seen["no report"] = refused(iam.get_credential_report)
seen["report state"] = iam.generate_credential_report()["State"]
report = iam.get_credential_report()
seen["report"] = [type(report["Content"]).__name__, report["Content"].decode().split("\n")[1].split(",")[0], report["ReportFormat"]]

seen["no user"] = refused(iam.list_access_keys, UserName="ghost")
seen["no key"] = refused(iam.delete_access_key, UserName="a", AccessKeyId=key["AccessKeyId"])
seen["no name"] = refused(iam.list_access_keys)
seen["third key"] = refused(iam.create_access_key, UserName="full")

seen["accounts"] = sum(len(page["Accounts"]) for page in client("organizations").get_paginator("list_accounts").paginate())
seen["events"] = [
    e["EventName"]
    for e in client("cloudtrail").lookup_events(LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": key["AccessKeyId"]}])["Events"]
]
secrets = client("secretsmanager")
secrets.create_secret(Name="s", SecretString="v")
seen["secret"] = secrets.get_secret_value(SecretId="s")["SecretString"]
seen["secret twice"] = refused(secrets.create_secret, Name="s", SecretString="v")
ssm = client("ssm")
ssm.put_parameter(Name="/p", Value="v", Type="SecureString")
seen["parameter"] = ssm.get_parameter(Name="/p", WithDecryption=True)["Parameter"]["Value"]
seen["no parameter"] = refused(ssm.get_parameter, Name="/ghost")

json.dump(seen, sys.stdout)
