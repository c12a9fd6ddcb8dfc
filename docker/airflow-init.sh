#!/bin/bash
# One run before the Airflow services start: metadata database and the administrator's password.
set -euo pipefail

airflow db migrate

umask 077
python - "${AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE}" <<'PYTHON'
import json
import os
import pathlib
import sys

pathlib.Path(sys.argv[1]).write_text(json.dumps({"admin": os.environ["AIRFLOW_ADMIN_PASSWORD"]}))
PYTHON
