"""`python -m hashtag_core …`, the same as `hashtag-core …`."""

import sys

from hashtag_core.cli import main

sys.exit(main())
