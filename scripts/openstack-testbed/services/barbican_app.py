"""Barbican for uwsgi. It has no option for its configuration: that is $HOME/.barbican."""
import os

from paste import deploy

application = deploy.loadapp("config:%s/barbican-paste.ini" % os.environ["HOME"])
