"""Names from tenants of any kind: reversible, distinct, never a pattern."""

from __future__ import annotations

import random
import re

import pytest

from airflow_provider_logmigrate.core.errors import TenantInvalid
from airflow_provider_logmigrate.core.naming import (
    MAX_INDEX_NAME_BYTES,
    MAX_TENANT_BYTES,
    IndexNames,
    dag_id,
    decode_tenant,
    encode_tenant,
)

NAMES = IndexNames("dify", "workflow-runs")
SAFE = re.compile(r"[a-z0-9_-]+")
HOSTILE = [
    "*",
    "a,b",
    "..",
    ".",
    "-",
    "_all",
    "+a",
    "A",
    "a",
    "a b",
    "a\x00b",
    'a"b',
    "a'b;--",
    "a/b\\c",
    "<now/d>",
    "a|b?c",
    "#x:y",
    "ünïcödé",
    "\U0001f600",
    "a\u0301",
    "\u00e1",
    "ß",
    "SS",
    "İ",
    "_41",
    "_5f41",
    "2025.01",
    "x-2025.01-v1",
    "3f2b6c1e-8a77-4f4e-9d1a-0c5d2b7a9e10",
    "\u202e",
    "\ufffd",
    "a\n",
]


@pytest.mark.parametrize("tenant", HOSTILE)
def test_hostile_names_are_reversible_and_harmless(tenant: str) -> None:
    encoded = encode_tenant(tenant)
    assert decode_tenant(encoded) == tenant
    assert SAFE.fullmatch(encoded)


def test_no_two_hostile_names_share_an_encoding() -> None:
    assert len({encode_tenant(tenant) for tenant in HOSTILE}) == len(HOSTILE)
    assert len({NAMES.index(tenant, "2025-01", 1) for tenant in HOSTILE}) == len(HOSTILE)


def test_random_names_are_reversible_and_distinct() -> None:
    rng = random.Random(0)
    alphabets = [
        "ab-_",
        "aA_4f1",
        "*,.-_ ab",
        "\x00\x7f\u00e4\u20ac\U0001f600",
        "0123456789abcdef-",
    ]
    seen: dict[str, str] = {}
    for _ in range(5000):
        alphabet = rng.choice([*alphabets, None])
        tenant = "".join(
            rng.choice(alphabet) if alphabet else chr(_scalar(rng))
            for _ in range(rng.randrange(1, 12))
        )
        if not tenant.strip():
            continue
        encoded = encode_tenant(tenant)
        assert decode_tenant(encoded) == tenant
        assert SAFE.fullmatch(encoded)
        assert seen.setdefault(encoded, tenant) == tenant


def _scalar(rng: random.Random) -> int:
    while True:
        value = rng.randrange(0x110000)
        if not 0xD800 <= value < 0xE000:
            return value


def test_a_uuid_stays_readable() -> None:
    tenant = "3f2b6c1e-8a77-4f4e-9d1a-0c5d2b7a9e10"
    assert encode_tenant(tenant) == tenant
    assert NAMES.index(tenant, "2025-01", 2) == f"dify-workflow-runs-{tenant}-2025.01-v2"


@pytest.mark.parametrize("tenant", ["", " ", "\t\n", "\u2003"])
def test_empty_names_are_refused(tenant: str) -> None:
    with pytest.raises(TenantInvalid, match=r"empty .*Next: "):
        encode_tenant(tenant)


def test_names_that_are_no_text_are_refused_readably() -> None:
    with pytest.raises(TenantInvalid, match=r"isn't valid text \['a\\udc80'\]"):
        encode_tenant("a\udc80")


@pytest.mark.parametrize(
    ("tenant", "bytes_needed"), [("x" * 300, 300), ("x" * 161, 161), ("ä" * 27, 162)]
)
def test_names_that_do_not_fit_are_refused_with_their_length(
    tenant: str, bytes_needed: int
) -> None:
    with pytest.raises(TenantInvalid, match=rf"needs {bytes_needed} bytes.*160 fit") as caught:
        encode_tenant(tenant)
    assert len(str(caught.value)) < 300


def test_the_longest_name_fits_into_an_index_name() -> None:
    names = IndexNames("p" * 20, "workflow-node-execution-offload")
    index = names.index("x" * MAX_TENANT_BYTES, "2025-01-31", 12345)
    assert len(index.encode()) <= MAX_INDEX_NAME_BYTES


@pytest.mark.parametrize(
    "encoded",
    ["", "A", "_4", "_4G", "_4A", "a.b", "*", "_61", "_2d", "_ff", "a\n", "_20", "x" * 161],
)
def test_what_no_tenant_encodes_to_is_refused(encoded: str) -> None:
    """``_61`` stood for ``a`` too: two keys meant one tenant."""
    with pytest.raises(ValueError, match=r"not an encoded tenant|decode"):
        decode_tenant(encoded)


@pytest.mark.parametrize("tenant", HOSTILE)
def test_every_index_matches_its_template_and_no_alias_does(tenant: str) -> None:
    pattern = re.compile(re.escape(NAMES.pattern).replace(r"\*", ".*"))
    for label in ("2025-01", "2025-01-31"):
        assert pattern.fullmatch(NAMES.index(tenant, label, 1))
        assert NAMES.index(tenant, label, 1) == f"{NAMES.unit_alias(tenant, label)}-v1"
    assert "." not in NAMES.tenant_alias(tenant)
    assert NAMES.template == "dify-workflow-runs-template"


def test_aliases_and_indices_of_all_tenants_and_periods_are_distinct() -> None:
    names = [NAMES.tenant_alias(tenant) for tenant in HOSTILE]
    for tenant in HOSTILE:
        for label in ("2025-01", "2025-01-01", "2025-11"):
            names.append(NAMES.unit_alias(tenant, label))
            names += [NAMES.index(tenant, label, version) for version in (1, 11)]
    assert len(set(names)) == len(names)


def test_shared_indices_have_no_tenant_s_names() -> None:
    labels = ["2025-01", "2025-01-01", "2025-11", "2024-12-31"]
    odd = [*HOSTILE, "2025", "2025-01", "01", "v1", "-2025-01-v1", "2025.01-v1", "2025_01"]
    of_tenants = {NAMES.tenant_alias(tenant) for tenant in odd}
    for tenant in odd:
        for label in labels:
            of_tenants.add(NAMES.unit_alias(tenant, label))
            of_tenants |= {NAMES.index(tenant, label, version) for version in (1, 11)}
    pattern = re.compile(re.escape(NAMES.pattern).replace(r"\*", ".*"))
    for label in labels:
        assert NAMES.shared_base(label) not in of_tenants
        for version in (1, 11):
            shared = NAMES.shared_index(label, version)
            assert shared not in of_tenants
            assert pattern.fullmatch(shared)
            assert shared == f"{NAMES.shared_base(label)}-v{version}"


def test_no_tenant_at_all_can_give_a_shared_index_its_name() -> None:
    """Behind the stream a shared name goes on with a label; a tenant's has no ``.`` there."""
    rng = random.Random(1)
    shared = re.compile(r"dify-workflow-runs-[0-9]{4}\.[0-9]{2}(\.[0-9]{2})?-v[0-9]+")
    assert shared.fullmatch(NAMES.shared_index("2025-01", 1))
    for _ in range(3000):
        tenant = "".join(rng.choice("2025.01-v_") for _ in range(rng.randrange(1, 14)))
        names = [NAMES.tenant_alias(tenant), NAMES.unit_alias(tenant, "2025-01")]
        assert not any(shared.fullmatch(n) for n in [*names, NAMES.index(tenant, "2025-01", 1)])


def test_dag_ids_are_what_airflow_accepts() -> None:
    for tenant in HOSTILE:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", dag_id("dify", tenant))
    assert dag_id("dify", "A*") == "logmigrate_dify__41_2a"
