"""Checked models -> entities: references are followed, and what contradicts itself is found.

Everything wrong with a migration is collected before it is given up, so one look at the problems
is enough to correct it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from airflow_provider_logmigrate.config.choice import choose_streams
from airflow_provider_logmigrate.config.copy_models import ProtectModel
from airflow_provider_logmigrate.config.deletion_models import HoldModel, PurgeModel, RetentionModel
from airflow_provider_logmigrate.config.document import Fault, Location
from airflow_provider_logmigrate.config.entities import (
    Approval,
    DagsPer,
    FollowSettings,
    IndexSettings,
    Limits,
    Migration,
    OffloadStorage,
    PurgeSettings,
    RetentionSettings,
    Store,
    StoreType,
)
from airflow_provider_logmigrate.config.fields import MAX_PREFIX
from airflow_provider_logmigrate.config.models import MigrationModel
from airflow_provider_logmigrate.config.schedule import schedule_fault
from airflow_provider_logmigrate.config.tenants import read_tenants
from airflow_provider_logmigrate.core.certificate import ProofMode
from airflow_provider_logmigrate.core.layout import Layout
from airflow_provider_logmigrate.core.planning import Order
from airflow_provider_logmigrate.core.protection import Protection, Thresholds
from airflow_provider_logmigrate.core.purge import Hold
from airflow_provider_logmigrate.core.reconcile import Bounds
from airflow_provider_logmigrate.core.retention_rules import RetentionRule, RetentionRules
from airflow_provider_logmigrate.core.stream import TextIndex
from airflow_provider_logmigrate.core.survey import Counting
from airflow_provider_logmigrate.core.unit import Granularity
from airflow_provider_logmigrate.streams.registry import near

_SOURCES = (StoreType.POSTGRES,)
_TARGETS = (StoreType.OPENSEARCH, StoreType.ELASTICSEARCH)


@dataclass(slots=True)
class Resolved:
    """A migration, unless something forbids it; and everything that is wrong with it.

    :param migration: ``None``: one of the faults isn't only a tenant's.
    :param tenant_places: where each good tenant stands in the file.
    """

    migration: Migration | None = None
    faults: list[Fault] = field(default_factory=list)
    tenant_places: Mapping[str, Location] = field(default_factory=dict)


def resolve_migration(
    name: str, model: MigrationModel, *, stores: Mapping[str, Store | None], folder: Path
) -> Resolved:
    """Build one migration.

    :param stores: ``None`` for a store that is itself wrong: told elsewhere.
    :param folder: what file names are relative to.
    """
    work = _Work(name, model)
    source = work.store("source", model.source, stores, _SOURCES)
    target = work.store("target", model.target, stores, _TARGETS)
    choice = choose_streams(name, model)
    prefix = work.prefix()
    work.check_options(target)
    known = {**{stream.name: stream.name for stream in choice.streams}, **choice.aliases}
    work.check_retention(known)
    tenants = read_tenants(model.tenants, folder=folder, migration=name)
    resolved = Resolved(faults=[*work.faults, *choice.faults, *tenants.problems])
    resolved.tenant_places = tenants.places
    if work.faults or choice.faults or tenants.broken or source is None or target is None:
        return resolved
    limits, offload, discovered = model.limits, model.offload, model.tenants.discovered
    resolved.migration = Migration(
        name=name,
        source=source,
        target=target,
        tenants=tuple(tenants.places),
        discovered=folder / discovered.file if discovered else None,
        streams=choice.streams,
        first=model.from_,
        index_prefix=prefix,
        pack=model.pack,
        aliases=choice.aliases,
        last=model.to,
        period=Granularity(model.period),
        order=Order(model.order),
        settle_lag=model.settle_lag,
        lanes=model.lanes,
        layout=Layout(model.layout),
        index=IndexSettings(
            **model.index.model_dump(exclude={"text"}), text=TextIndex(model.index.text)
        ),
        offload=OffloadStorage(**offload.model_dump()) if offload else None,
        limits=Limits(
            in_flight=limits.in_flight,
            chunk_bytes=limits.chunk,
            page_rows=limits.page_rows,
            checkpoint_seconds=limits.checkpoint_every / timedelta(seconds=1),
            max_rejected=limits.max_rejected,
            accept_rejected=limits.accept_rejected,
            statement_timeout_seconds=limits.statement_timeout / timedelta(seconds=1),
            documents_per_second=limits.documents_per_second,
            bytes_per_second=_bytes(limits.megabytes_per_second),
        ),
        protect=_protection(model.protect) if model.protect else None,
        proof=ProofMode(model.proof.mode),
        sample=model.proof.sample,
        reconcile=Bounds(**model.reconcile.model_dump()),
        follow=FollowSettings(**model.follow.model_dump()) if model.follow else None,
        purge=_purge(model.purge) if model.purge else None,
        retention=_retention(model, model.retention, known) if model.retention else None,
        approval=Approval(model.approval),
        approval_timeout=model.approval_timeout,
        dags=DagsPer(model.dags),
        counts=Counting(model.counts),
        schedule=model.schedule,
        strategies=choice.strategies,
        pool=model.pool,
        retries=model.retries,
    )
    return resolved


def _purge(model: PurgeModel) -> PurgeSettings:
    return PurgeSettings(
        floor_age=model.floor_age,
        holds=_holds(model.hold),
        batch_seconds=model.batch / timedelta(seconds=1),
        sessions=model.sessions,
        approval=model.approval,
        snapshot=model.snapshot,
        vacuum=model.vacuum,
    )


def _retention(
    migration: MigrationModel, model: RetentionModel, streams: Mapping[str, str]
) -> RetentionSettings:
    held = [*model.hold, *(migration.purge.hold if migration.purge else ())]
    rules = RetentionRules(
        default=model.after,
        rules=tuple(
            RetentionRule(
                rule.after,
                streams[rule.stream] if rule.stream else None,
                rule.tenant,
                tuple((name, tuple(values)) for name, values in sorted(rule.where.items())),
            )
            for rule in model.rules
        ),
        holds=_holds(held),
        settle_lag=migration.settle_lag,
        max_indices=model.cap.indices,
        max_documents=model.cap.documents,
        allow_last_copy=model.allow_last_copy,
        allow_managed=model.allow_ilm,
    )
    return RetentionSettings(
        rules=rules,
        documents_per_second=model.documents_per_second,
        snapshot=model.snapshot,
        approval=model.approval,
        schedule=model.schedule,
    )


def _holds(models: Sequence[HoldModel]) -> tuple[Hold, ...]:
    return tuple(
        Hold(
            hold.tenant,
            _midnight(hold.from_) if hold.from_ else None,
            _midnight(hold.to) + timedelta(days=1) if hold.to else None,
        )
        for hold in models
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=timezone.utc)


def _bytes(megabytes: float | None) -> float | None:
    return None if megabytes is None else megabytes * 1e6


def _protection(model: ProtectModel) -> Protection:
    second, lag = timedelta(seconds=1), model.replication_lag
    return Protection(
        Thresholds(
            probe_seconds=model.probe_latency / second if model.probe_latency else None,
            lag_seconds=lag / second if isinstance(lag, timedelta) else None,
            lag_bytes=lag if isinstance(lag, int) else None,
            active_backends=model.active_backends,
        ),
        every=model.every / second,
        give_up_after=model.give_up_after / second,
    )


@dataclass(slots=True)
class _Work:
    """The steps of resolving one migration, and what they find wrong."""

    name: str
    model: MigrationModel
    faults: list[Fault] = field(default_factory=list)

    def refuse(self, *steps: str | int, why: str) -> None:
        self.faults.append(Fault(("migrations", self.name, *steps), why))

    def store(
        self,
        role: str,
        wanted: str,
        stores: Mapping[str, Store | None],
        fitting: tuple[StoreType, ...],
    ) -> Store | None:
        if wanted not in stores:
            self.refuse(role, why=f"there is no store {wanted!r}{near(wanted, stores)}")
            return None
        store = stores[wanted]
        if store is not None and store.type not in fitting:
            kinds = " or ".join(kind.value for kind in fitting)
            self.refuse(role, why=f"{wanted!r} is of type {store.type.value}, it must be {kinds}")
        return store

    def prefix(self) -> str:
        default = self.model.pack or self.name.replace("_", "-").strip("-")
        prefix = self.model.index_prefix or default
        if not 0 < len(prefix) <= MAX_PREFIX:
            why = (
                f"give one of 1 to {MAX_PREFIX} characters: the migration's name can't stand for it"
            )
            self.refuse("index_prefix", why=why)
        return prefix

    def check_options(self, target: Store | None) -> None:
        model = self.model
        if model.to is not None and model.from_ > model.to:
            self.refuse("to", why=f"{model.to} is before `from` ({model.from_})")
        codec = model.index.codec or ""
        elastic = target is not None and target.type is StoreType.ELASTICSEARCH
        if elastic and codec.startswith("zstd"):
            why = f"Elasticsearch has no codec {codec!r}: use best_compression"
            self.refuse("index", "codec", why=why)
        if model.schedule is not None and (fault := schedule_fault(model.schedule)):
            self.refuse("schedule", why=fault)
        if model.follow is not None and (fault := schedule_fault(model.follow.schedule)):
            self.refuse("follow", "schedule", why=fault)
        if model.follow is not None and model.to is not None:
            self.refuse("follow", why="a migration with an end isn't followed: leave out `to`")
        if model.offload is not None and "@" in urlsplit(model.offload.url).netloc:
            why = "no user name or password in the URL: they belong in an Airflow connection"
            self.refuse("offload", "url", why=why)

    def check_retention(self, streams: Mapping[str, str]) -> None:
        retention = self.model.retention
        if retention is None:
            return
        for number, rule in enumerate(retention.rules):
            if rule.stream is not None and rule.stream not in streams:
                why = f"there is no stream {rule.stream!r}{near(rule.stream, streams)}"
                self.refuse("retention", "rules", number, "stream", why=why)
        if retention.schedule is not None and (fault := schedule_fault(retention.schedule)):
            self.refuse("retention", "schedule", why=fault)
