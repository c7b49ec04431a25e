"""An app that asks for one token and tells in one JSON line what it got: {"token": …} or {"error": …}, and "took_ms".

get_token.py --credential managed|default|msal [--client-id X | --resource-id Y] --scope S
"""

import argparse
import json
import time

import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
from msal import ManagedIdentityClient, SystemAssignedManagedIdentity, UserAssignedManagedIdentity


def main():
    wanted = arguments()
    start = time.monotonic()
    told = {"managed": by_managed, "default": by_default, "msal": by_msal}[wanted.credential](wanted)
    took_ms = round((time.monotonic() - start) * 1000)
    print(json.dumps({**told, "took_ms": took_ms}))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--credential", choices=["managed", "default", "msal"], required=True)
    identity = parser.add_mutually_exclusive_group()
    identity.add_argument("--client-id")
    identity.add_argument("--resource-id")
    parser.add_argument("--scope", required=True)
    return parser.parse_args()


def by_managed(wanted):
    chosen = {"resource_id": wanted.resource_id} if wanted.resource_id else None
    return ask(ManagedIdentityCredential(client_id=wanted.client_id, identity_config=chosen), wanted.scope)


def by_default(wanted):
    return ask(DefaultAzureCredential(managed_identity_client_id=wanted.client_id), wanted.scope)


def ask(credential, scope):
    try:
        return {"token": credential.get_token(scope).token}
    except ClientAuthenticationError as error:
        return {"error": str(error)}


def by_msal(wanted):
    """MSAL returns what it was told, tokens and errors alike."""
    if wanted.client_id or wanted.resource_id:
        identity = UserAssignedManagedIdentity(client_id=wanted.client_id, resource_id=wanted.resource_id)
    else:
        identity = SystemAssignedManagedIdentity()
    client = ManagedIdentityClient(identity, http_client=requests.Session())
    answer = client.acquire_token_for_client(resource=wanted.scope.removesuffix("/.default"))
    return {"token": answer["access_token"]} if "access_token" in answer else {"error": json.dumps(answer)}


main()
