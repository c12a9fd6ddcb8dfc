"""Airflow with its CeleryExecutor: tasks run on several workers, as on several machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.airflow import COMPONENTS, AirflowServer
from devstack.process import BackgroundProcess
from devstack.readiness import wait_until_ready
from devstack.valkey import ValkeyServer
from devstack.worker_host import VARIABLE

if TYPE_CHECKING:
    from typing_extensions import Self


class CeleryAirflow(AirflowServer):
    """
    Airflow without a triggerer, whose tasks run on workers, each a session of processes.

    A task's host, as Airflow notes it, is the name of its worker.

    :param broker: runs already; it must outlive this.
    :param workers: their names.
    :param slots: tasks that each worker runs at the same time.
    """

    def __init__(
        self,
        root: Path,
        *,
        database_dsn: str,
        dags_folder: Path,
        env: Mapping[str, str],
        broker: ValkeyServer,
        workers: Sequence[str] = ("worker-1", "worker-2"),
        slots: int = 2,
    ) -> None:
        self.workers = tuple(workers)
        self._slots = slots
        # How much of a worker's log is of an earlier start.
        self._log_before: dict[str, int] = {}
        # The scheme names the driver; the rest of the address is the metadata database's.
        results = f"db+postgresql+psycopg2://{database_dsn.partition('://')[2]}"
        celery = {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
            "AIRFLOW__CELERY__RESULT_BACKEND": results,
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "86400",
            # The slots of the workers are the limit.
            "AIRFLOW__CORE__PARALLELISM": "32",
        }
        super().__init__(
            root, database_dsn=database_dsn, dags_folder=dags_folder, env={**celery, **env}
        )

    def commands(self) -> Mapping[str, Sequence[str]]:
        """The components as the executor wants them, and the workers."""
        components = {name: COMPONENTS[name] for name in COMPONENTS if name != "triggerer"}
        return components | {name: self._worker(name) for name in self.workers}

    def environment_of(self, name: str) -> dict[str, str]:
        """The environment of a component; a worker's says who it is."""
        if name not in self.workers:
            return super().environment_of(name)
        return super().environment_of(name) | {
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "devstack.worker_host.name",
            VARIABLE: name,
        }

    def start(self) -> Self:
        """Start all; besides what the other components wait for, wait until workers take tasks."""
        super().start()
        for name in self.workers:
            wait_until_ready(
                partial(self._takes_tasks, name),
                process=self.components[name],
                seconds=180,
                what=f"Airflow's {name}",
            )
        return self

    def start_component(self, name: str) -> None:
        """Start one component, after it was stopped or killed. Doesn't wait."""
        log = self.components[name].log
        self._log_before[name] = log.stat().st_size if log.exists() else 0
        self._own_pid_file(name).unlink(missing_ok=True)
        super().start_component(name)

    def worker_of(self, pid: int) -> BackgroundProcess:
        """The worker a process belongs to."""
        (found,) = [
            self.components[name]
            for name in self.workers
            if pid in {process.pid for process in self.components[name].members()}
        ]
        return found

    def _worker(self, name: str) -> tuple[str, ...]:
        return (
            *("celery", "worker", "--skip-serve-logs", "--without-gossip", "--without-mingle"),
            *("--celery-hostname", f"{name}@devstack"),
            *("--concurrency", str(self._slots)),
            *("--pid", str(self._own_pid_file(name))),
        )

    def _own_pid_file(self, name: str) -> Path:
        # Celery wants one; another name than that of ours, which remembers more than a number.
        return self.root / f"{name}.celery"

    def _takes_tasks(self, name: str) -> bool:
        log = self.components[name].log
        if not log.exists():
            return False
        with log.open("rb") as stream:
            stream.seek(self._log_before.get(name, 0))
            return f"{name}@devstack ready.".encode() in stream.read()
