"""Swift's proxy, container, account and object servers as green threads of one process: one device,
one replica.

Usage: swift_servers.py DIRECTORY   (with NAME-server.conf for each, swift.conf and keymaster.conf)
"""
import sys

import eventlet

eventlet.monkey_patch()

from eventlet import event, wsgi  # noqa: E402
from swift.common import constraints, storage_policy, utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

from inherited import inherited_socket  # noqa: E402

# In the order of the sockets.
SERVERS = ("proxy", "container", "account", "object")


def read_configuration(directory):
    """Swift reads swift.conf from /etc when it is imported; here it is told where to read it again."""
    utils.SWIFT_CONF_FILE = directory + "/swift.conf"
    storage_policy.reload_storage_policies()
    constraints.reload_constraints()
    utils.validate_configuration()


def write_ring(directory, name, port):
    builder = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    device = {"id": 0, "region": 1, "zone": 1, "weight": 1.0, "device": "d1", "meta": ""}
    builder.add_dev({**device, "ip": "127.0.0.1", "port": port})
    builder.rebalance(seed="testbed")
    builder.get_ring().save("%s/%s.ring.gz" % (directory, name))


def main():
    directory = sys.argv[1]
    read_configuration(directory)
    sockets = {name: inherited_socket(index) for index, name in enumerate(SERVERS)}
    for name in SERVERS[1:]:
        write_ring(directory, name, sockets[name].getsockname()[1])
    for name in reversed(SERVERS):
        path = "%s/%s-server.conf" % (directory, name)
        app = loadapp(path, global_conf={"log_name": name + "-server"})
        eventlet.spawn(wsgi.server, sockets[name], app)
    event.Event().wait()


main()
