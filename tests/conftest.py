"""Settings of every unit test: quiet, without a display, and with reports written to a temporary folder."""

import os

os.environ["XAI_PROGRESS"] = "0"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ.pop("XAI_REPORT_DIR", None)
