"""What openstacksdk, and the openstack command, would send to keystone for the cloud `c` of $HOME.

The region is the one of OS_REGION_NAME, as the command takes it. Prints {sdk: …, command: …}, each with
the body of the request, its address and the region, or the error.
"""

import json
import os
import warnings

warnings.simplefilter('ignore')

import openstack.config
from osc_lib.cli.client_config import OSC_Config


class Sent(Exception):
    pass


class Recorder:
    """Stands where keystoneauth's session would be: nothing is asked, all is seen."""

    def post(self, url, json, **_):
        raise Sent({'url': url, 'body': json})


def asked(config):
    region = config.get_one(cloud='c', region_name=os.environ.get('OS_REGION_NAME', ''))
    plugin = region.get_auth()
    if hasattr(plugin, 'create_plugin'):
        plugin = plugin.create_plugin(None, (3, 0), plugin.auth_url)
    try:
        plugin.get_auth_ref(Recorder())
    except Sent as sent:
        return {**sent.args[0], 'region': region.config['region_name'] or None}


def outcome(make):
    try:
        return asked(make())
    except Exception as error:
        return {'error': str(error)}


print(json.dumps({
    'sdk': outcome(openstack.config.OpenStackConfig),
    'command': outcome(lambda: OSC_Config(override_defaults={'auth_type': 'password'})),
}))
