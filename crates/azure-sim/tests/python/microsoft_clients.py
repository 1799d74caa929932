"""Microsoft's own clients against azure-sim: create, list, approve, wait, delete.

usage: microsoft_clients.py ENDPOINT CA_FILE TENANT CLIENT SECRET SIGNALR_ID VAULT_ID
"""

import sys
import time

from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.signalr import SignalRManagementClient
from azure.mgmt.signalr.models import SharedPrivateLinkResource

endpoint, ca_file, tenant, client, secret, signalr_id, vault_id = sys.argv[1:]
_, _, subscription, _, group, _, _, _, signalr = signalr_id.split("/")
vault = vault_id.split("/")[-1]


def credential(client_secret):
    return ClientSecretCredential(
        tenant, client, client_secret,
        authority=endpoint, disable_instance_discovery=True, connection_verify=ca_file,
    )


def management(kind):
    return kind(
        credential(secret), subscription,
        base_url=endpoint, credential_scopes=["https://management.azure.com/.default"],
        connection_verify=ca_file, polling_interval=1,
    )


def until(what, probe, limit=30):
    begun = time.monotonic()
    while not probe():
        assert time.monotonic() - begun < limit, f"{what}: not within {limit} s"
        time.sleep(0.2)
    print(f"ok   {what}")


try:
    credential("wrong").get_token("https://management.azure.com/.default")
    raise AssertionError("a wrong secret was accepted")
except ClientAuthenticationError as error:
    assert "AADSTS7000215" in str(error), error
    print("ok   a wrong secret is refused")

links = management(SignalRManagementClient).signal_rshared_private_link_resources
key_vault = management(KeyVaultManagementClient)

assert list(links.list(group, signalr)) == []
try:
    links.get("kv-pe", group, signalr)
    raise AssertionError("a missing link was found")
except ResourceNotFoundError:
    print("ok   a missing link is not found")

wanted = SharedPrivateLinkResource(
    group_id="vault", private_link_resource_id=vault_id, request_message="please approve"
)
created = links.begin_create_or_update("kv-pe", group, signalr, wanted).result()
assert created.provisioning_state == "Succeeded", created.provisioning_state
assert created.status == "Pending", "an operation that succeeded is not an approval"
assert created.type == "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources", created.type
assert [link.name for link in links.list(group, signalr)] == ["kv-pe"]
print("ok   created, and still Pending")


def pending():
    connections = key_vault.private_endpoint_connections.list_by_resource(group, vault)
    return [c for c in connections if c.private_link_service_connection_state.description == "please approve"]


until("the request appears on the vault", pending)
connection = pending()[0]
assert connection.etag is None, "a connection has no etag before somebody writes it"
connection.private_link_service_connection_state.status = "Approved"
connection.private_link_service_connection_state.description = "You are approved!"
answer = key_vault.private_endpoint_connections.put(group, vault, connection.id.split("/")[-1], connection)
assert answer.private_link_service_connection_state.status == "Approved"
assert answer.provisioning_state == "Updating", answer.provisioning_state
print("ok   approved, and still Updating")
until("SignalR says Approved", lambda: links.get("kv-pe", group, signalr).status == "Approved")

links.begin_delete("kv-pe", group, signalr).result()
assert list(links.list(group, signalr)) == []
embedded = key_vault.vaults.get(group, vault).properties.private_endpoint_connections
assert embedded is None, "a vault without connections leaves the array out"
print("ok   deleted, and the connection is gone")
