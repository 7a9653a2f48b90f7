from heatproof.backend import check_backend

check_backend()
