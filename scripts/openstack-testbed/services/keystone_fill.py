"""Fills keystone's database with projects, roles, users and the catalogue.

identity.json says what is wanted: adminPassword, region, projects [name], roles [name], users
[{name, password, grants: [{project, role}]}], services [{type, name, url}]. What is there already
stays; an endpoint gets its new address. The ids go to ids.json.

Keystone's own manager API is used, as its bootstrap command does; by HTTP it would be a hundred
requests.
"""
import json
import os
import uuid

from keystone.cmd import bootstrap as command
from keystone.common import provider_api

PROVIDERS = provider_api.ProviderAPIs
DOMAIN = "default"


def bootstrap(wanted):
    # The application has loaded them, and they can be loaded once only.
    command.backends.load_backends = lambda: None
    first = command.Bootstrapper()
    first.admin_username, first.admin_password = "admin", wanted["adminPassword"]
    first.project_name, first.admin_role_name = "admin", "admin"
    first.service_name, first.region_id = "keystone", wanted["region"]
    first.bootstrap()


def ensure(known, name, create):
    """The id of what has that name, made when it is not there."""
    if name not in known:
        known[name] = uuid.uuid4().hex
        create(known[name])
    return known[name]


def by_name(rows):
    return {row["name"]: row["id"] for row in rows}


def fill_projects(names):
    known = by_name(PROVIDERS.resource_api.list_projects())
    for name in names:
        row = {"name": name, "domain_id": DOMAIN, "enabled": True, "is_domain": False}
        ensure(
            known,
            name,
            lambda id: PROVIDERS.resource_api.create_project(
                id, {**row, "id": id, "parent_id": DOMAIN, "description": ""}
            ),
        )
    return known


def fill_roles(names):
    known = by_name(PROVIDERS.role_api.list_roles())
    for name in names:
        row = {"name": name, "domain_id": None}
        ensure(known, name, lambda id: PROVIDERS.role_api.create_role(id, {**row, "id": id}))
    return known


def fill_users(users, projects, roles):
    known = by_name(PROVIDERS.identity_api.list_users(domain_scope=DOMAIN))
    for user in users:
        if user["name"] not in known:
            row = {key: user[key] for key in ("name", "password")}
            made = PROVIDERS.identity_api.create_user({**row, "domain_id": DOMAIN, "enabled": True})
            known[user["name"]] = made["id"]
        for grant in user["grants"]:
            PROVIDERS.assignment_api.create_grant(
                roles[grant["role"]],
                user_id=known[user["name"]],
                project_id=projects[grant["project"]],
            )
    return known


def fill_catalogue(services, region):
    known = {row["type"]: row["id"] for row in PROVIDERS.catalog_api.list_services()}
    addresses = {
        (row["service_id"], row["interface"]): row for row in PROVIDERS.catalog_api.list_endpoints()
    }
    for service in services:
        row = {"type": service["type"], "name": service["name"], "enabled": True}
        service_id = ensure(
            known,
            service["type"],
            lambda id: PROVIDERS.catalog_api.create_service(id, {**row, "id": id}),
        )
        for interface in ("public", "internal", "admin"):
            place(addresses.get((service_id, interface)), service_id, interface, service, region)


def place(endpoint, service_id, interface, service, region):
    if endpoint is not None:
        PROVIDERS.catalog_api.update_endpoint(endpoint["id"], {**endpoint, "url": service["url"]})
        return
    endpoint_id = uuid.uuid4().hex
    row = {"id": endpoint_id, "interface": interface, "url": service["url"], "enabled": True}
    PROVIDERS.catalog_api.create_endpoint(
        endpoint_id, {**row, "service_id": service_id, "region_id": region}
    )


def fill(directory):
    with open(os.path.join(directory, "identity.json")) as file:
        wanted = json.load(file)
    bootstrap(wanted)
    projects = fill_projects(wanted["projects"])
    roles = fill_roles(wanted["roles"])
    users = fill_users(wanted["users"], projects, roles)
    fill_catalogue(wanted["services"], wanted["region"])
    with open(os.path.join(directory, "ids.json"), "w") as file:
        json.dump({"projects": projects, "users": users}, file)
