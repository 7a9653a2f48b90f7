from heatproof.backend import check_backend
from heatproof.quiet import be_quiet

check_backend()
be_quiet()
