# Airflow with this provider in it: the official image and our wheel, nothing else.
# Build context: the checkout. `docker compose build` does it.
ARG AIRFLOW_VERSION=3.3.2

FROM apache/airflow:${AIRFLOW_VERSION} AS wheel
COPY --chown=airflow:0 . /tmp/source
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheel /tmp/source

FROM apache/airflow:${AIRFLOW_VERSION}
ARG AIRFLOW_VERSION
# Naming Airflow's version here keeps pip from moving it while it installs our dependencies.
RUN --mount=type=bind,from=wheel,source=/tmp/wheel,target=/tmp/wheel \
    pip install --no-cache-dir "apache-airflow==${AIRFLOW_VERSION}" \
        "airflow-provider-logmigrate[opensearch] @ file://$(echo /tmp/wheel/*.whl)"
# A new named volume takes its owner from the folder it is mounted on.
RUN mkdir -p /opt/airflow/auth /opt/airflow/search-ca
COPY docker/airflow-init.sh docker/make_certs.py /opt/logmigrate/
