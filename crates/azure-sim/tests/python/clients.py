"""Microsoft's own clients against azure-sim: a link from its creation to its removal.

Usage: clients.py READY_FILE, the file that azure-sim writes once it listens.

Exit code 0 when each step went as it does in Azure. The clients follow the operations and the
pages with code that is shared by nothing else here, so what they accept is ARM.
"""

import json
import sys
import time
import urllib.request

from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
from azure.identity import ClientSecretCredential
from azure.mgmt.keyvault import KeyVaultManagementClient
from azure.mgmt.keyvault.models import (
    PrivateEndpointConnection,
    PrivateEndpointConnectionProperties,
    PrivateLinkServiceConnectionState,
)
from azure.mgmt.signalr import SignalRManagementClient
from azure.mgmt.signalr.models import SharedPrivateLinkResource

SUBSCRIPTION = "0f5e2bd0-0000-4000-8000-00000000c11e"
GROUP = "python-clients"
SIGNALR = "python-signalr"
VAULT = "python-kv"
LINK = "kv-pe"
MESSAGE = "Please approve python-clients"
PATIENCE_SECONDS = 30

IDS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers"
SIGNALR_ID = f"{IDS}/Microsoft.SignalRService/signalR/{SIGNALR}"
VAULT_ID = f"{IDS}/Microsoft.KeyVault/vaults/{VAULT}"


def control(ready, method, path, body=None):
    """Asks the control endpoint."""
    request = urllib.request.Request(
        ready["controlEndpoint"] + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def eventually(what, probe):
    """The first truthy answer of the probe."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        if found := probe():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {PATIENCE_SECONDS} s")


def expect(what, actual, expected):
    """Stops unless both are equal."""
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"
    print(f"ok  {what}: {actual}")


def refused(what, error, call):
    """Stops unless the call is refused so; the refusal."""
    try:
        call()
    except error as refusal:
        print(f"ok  {what}: {type(refusal).__name__}")
        return refusal
    raise AssertionError(f"{what}: expected {error.__name__}, but it was accepted")


def credential_of(ready, secret):
    """The credential, as in a cloud that is not public."""
    return ClientSecretCredential(
        ready["tenantId"],
        ready["clientId"],
        secret,
        authority=ready["authorityHost"],
        connection_verify=ready["caFile"],
        disable_instance_discovery=True,
    )


def clients_of(ready):
    """Both management clients."""
    settings = {
        "base_url": ready["armEndpoint"],
        "credential_scopes": ["https://management.azure.com/.default"],
        "connection_verify": ready["caFile"],
        "polling_interval": 1,
    }
    credential = credential_of(ready, ready["clientSecret"])
    return (
        SignalRManagementClient(credential, SUBSCRIPTION, **settings),
        KeyVaultManagementClient(credential, SUBSCRIPTION, **settings),
    )


def create(links):
    """The operation's success does not mean that the link is approved."""
    wanted = SharedPrivateLinkResource(
        group_id="vault", private_link_resource_id=VAULT_ID, request_message=MESSAGE
    )
    made = links.begin_create_or_update(LINK, GROUP, SIGNALR, wanted).result()
    expect("created link", (made.provisioning_state, made.status), ("Succeeded", "Pending"))
    expect("message of the link", made.request_message, MESSAGE)
    expect("type of the link", made.type, "Microsoft.SignalRService/SignalR/sharedPrivateLinkResources")
    expect("links in the list", [link.name for link in links.list(GROUP, SIGNALR)], [LINK])


def approve(connections, vaults):
    """The vault's owner finds the request and approves it."""
    pending = eventually(
        "the request on the vault", lambda: list(connections.list_by_resource(GROUP, VAULT))
    )
    expect("requests on the vault", len(pending), 1)
    name = pending[0].name
    found = connections.get(GROUP, VAULT, name)
    state = found.properties.private_link_service_connection_state
    expect("request on the vault", (state.status, state.description), ("Pending", MESSAGE))
    embedded = vaults.get(GROUP, VAULT).properties.private_endpoint_connections
    expect("request in the vault's own body", [item.id for item in embedded], [found.id])

    decision = PrivateEndpointConnection(
        etag=found.etag,
        properties=PrivateEndpointConnectionProperties(
            private_endpoint=found.properties.private_endpoint,
            private_link_service_connection_state=PrivateLinkServiceConnectionState(
                status="Approved", description="Approved by clients.py", actions_required="None"
            ),
        ),
    )
    answer = connections.put(GROUP, VAULT, name, decision)
    state = answer.properties.private_link_service_connection_state
    expect("decision", (state.status, answer.properties.provisioning_state), ("Approved", "Updating"))
    eventually(
        "the decision settles",
        lambda: connections.get(GROUP, VAULT, name).properties.provisioning_state == "Succeeded",
    )
    return name


def main(ready_file):
    """All steps."""
    with open(ready_file, encoding="utf-8") as file:
        ready = json.load(file)
    control(ready, "POST", "/signalr", {"resourceId": SIGNALR_ID})
    control(ready, "POST", "/vaults", {"resourceId": VAULT_ID})

    wrong = credential_of(ready, "not-the-secret")
    refusal = refused(
        "wrong secret",
        ClientAuthenticationError,
        lambda: wrong.get_token("https://management.azure.com/.default"),
    )
    assert "AADSTS7000215" in str(refusal), str(refusal)

    signalr, vault = clients_of(ready)
    links = signalr.signal_rshared_private_link_resources
    connections = vault.private_endpoint_connections

    parent = signalr.signal_r.get(GROUP, SIGNALR)
    expect("SignalR", (parent.provisioning_state, parent.sku.name), ("Succeeded", "Standard_S1"))
    refused("missing link", ResourceNotFoundError, lambda: links.get(LINK, GROUP, SIGNALR))

    create(links)
    name = approve(connections, vault.vaults)
    eventually("SignalR says Approved", lambda: links.get(LINK, GROUP, SIGNALR).status == "Approved")
    print("ok  SignalR says Approved")

    links.begin_delete(LINK, GROUP, SIGNALR).result()
    expect("links in the list", list(links.list(GROUP, SIGNALR)), [])
    expect("requests on the vault", list(connections.list_by_resource(GROUP, VAULT)), [])
    removed = refused(
        "decision on a removed request",
        HttpResponseError,
        lambda: connections.put(
            GROUP,
            VAULT,
            name,
            PrivateEndpointConnection(
                properties=PrivateEndpointConnectionProperties(
                    private_link_service_connection_state=PrivateLinkServiceConnectionState(status="Approved")
                )
            ),
        ),
    )
    expect("its status", removed.status_code, 404)

    [stranger] = control(ready, "POST", "/strangers", {"vault": VAULT_ID, "message": "let me in"})["ids"]
    connections.begin_delete(GROUP, VAULT, stranger.rsplit("/", 1)[1]).result()
    expect("requests after a removal", list(connections.list_by_resource(GROUP, VAULT)), [])


if __name__ == "__main__":
    main(sys.argv[1])
