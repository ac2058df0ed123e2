"""glance-api on the socket that it inherits."""
import sys

# First, since it makes the standard library green.
from glance.cmd import api

from inherited import serve_inherited

serve_inherited()
sys.argv[0] = "glance-api"
api.main()
