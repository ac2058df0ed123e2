"""Keystone for uwsgi; it fills its database before it answers.

OS_KEYSTONE_CONFIG_DIR says where its configuration is, and what the database is to hold.
"""
import os

from keystone.server.wsgi import initialize_public_application

from keystone_fill import fill

application = initialize_public_application()
fill(os.environ["OS_KEYSTONE_CONFIG_DIR"])
