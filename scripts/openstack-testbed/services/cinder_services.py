"""cinder's scheduler, volume, backup and API services as green threads of one process.

They talk through oslo.messaging's in-memory transport, so neither a message broker nor four
processes are needed. The API answers when the volume driver is ready.

Usage: cinder_services.py --config-file FILE
"""
import os
import sys

# First, since it makes the standard library green.
from cinder.cmd import volume as volume_command

import eventlet
import os_brick
import os_brick.privileged
from oslo_config import cfg
from oslo_log import log as logging
from oslo_service import service as oslo_service

import cinder.privsep
from cinder import coordination, objects, rpc, service, utils, version
from cinder.cmd import backup as backup_command  # registers its options
from cinder.common import config, constants

from inherited import serve_inherited

CONF = cfg.CONF


def configure():
    objects.register_all()
    CONF(sys.argv[1:], project="cinder", version=version.version_string())
    config.set_middleware_defaults()
    logging.setup(CONF, "cinder")
    utils.monkey_patch()
    os_brick.setup(CONF)
    rpc.init(CONF)


def run_unprivileged():
    """Commands and privileged functions run as whoever runs the test bed: nothing here needs more."""
    cinder.privsep.sys_admin_pctxt.set_client_mode(False)
    os_brick.privileged.default.set_client_mode(False)
    utils.get_root_helper = lambda: "env"


def volume_service(backend):
    CONF.register_opt(volume_command.host_opt, group=backend)
    made = service.Service.create(
        host="%s@%s" % (CONF.host, backend),
        service_name=backend,
        binary=constants.VOLUME_BINARY,
        coordination=True,
    )
    end_without_driver(made.manager)
    return made


def end_without_driver(manager):
    """cinder waits for an operator to mend a driver that has failed; here nobody will."""
    finish = manager.init_host_with_rpc

    def finish_or_end():
        finish()
        if not manager.driver.initialized:
            os._exit(1)

    manager.init_host_with_rpc = finish_or_end


def main():
    configure()
    run_unprivileged()
    serve_inherited()
    launcher = oslo_service.ServiceLauncher(CONF)
    volumes = [volume_service(backend) for backend in CONF.enabled_backends]
    backup = service.Service.create(
        binary=constants.BACKUP_BINARY, coordination=True, process_number=1
    )
    scheduler = service.Service.create(binary=constants.SCHEDULER_BINARY)
    for each in [scheduler, *volumes, backup]:
        launcher.launch_service(each)
    while not all(each.manager.driver.initialized for each in volumes):
        eventlet.sleep(0.02)
    coordination.COORDINATOR.start()
    launcher.launch_service(service.WSGIService("osapi_volume"))
    launcher.wait()


assert backup_command
main()
