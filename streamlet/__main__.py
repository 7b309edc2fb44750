"""`python -m streamlet` is the `streamlet` command."""

import sys

from streamlet.cli.main import main

sys.exit(main())
