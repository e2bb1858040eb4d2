"""The tree against published vectors, and against a second, slow definition of itself."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockstep.evidence.format.canonical import leaf_hash
from lockstep.evidence.format.merkle import (
    EMPTY_ROOT,
    Frontier,
    Pruned,
    TreeError,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    node_hash,
    root_from_inclusion,
    root_of,
)

LEAVES = [
    leaf_hash(bytes.fromhex(text))
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
"""Roots over the first 1 to 8 leaves of the tree that Certificate Transparency publishes."""

SIZES = st.integers(1, 70)


def many(count: int) -> list[bytes]:
    return [leaf_hash(str(number).encode()) for number in range(count)]


def slow_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    left = 1
    while left * 2 < len(leaves):
        left *= 2
    return node_hash(slow_root(leaves[:left]), slow_root(leaves[left:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_the_published_tree(size: int) -> None:
    """The roots of the Certificate Transparency test tree."""
    assert root_of(LEAVES[:size]).hex() == ROOTS[size - 1]


def test_a_published_inclusion_proof() -> None:
    """Leaf 5 of 8, whose path stands in the same test vectors."""
    path = inclusion_proof(5, 8, lambda first, count: slow_root(LEAVES[first : first + count]))
    assert [node.hex() for node in path] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_a_published_consistency_proof() -> None:
    """6 of 8, whose proof stands in the same test vectors."""
    proof = consistency_proof(6, 8, lambda first, count: slow_root(LEAVES[first : first + count]))
    assert [node.hex() for node in proof] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    roots = [bytes.fromhex(root) for root in ROOTS]
    assert is_consistent(6, roots[5], 8, roots[7], proof)
    assert not is_consistent(6, roots[4], 8, roots[7], proof)


def test_no_leaves() -> None:
    """The root of nothing is the hash of nothing."""
    assert root_of([]) == EMPTY_ROOT == slow_root([])


@given(SIZES)
def test_the_frontier_gives_the_root_by_definition(size: int) -> None:
    """Appending one by one comes to what the recursive definition says."""
    assert root_of(many(size)) == slow_root(many(size))


@given(SIZES)
def test_a_frontier_survives_being_stored(size: int) -> None:
    """What was written and read again goes on as if nothing had happened."""
    tree = Frontier()
    for leaf in many(size):
        tree.append(leaf)
    again = Frontier.from_bytes(size, tree.to_bytes())
    again.append(many(size + 1)[-1])

    assert again.root() == slow_root(many(size + 1))
    assert tree.size == size, "the copy is a copy"


def test_a_stored_frontier_must_fit_its_size() -> None:
    """Hashes that are too many or too few are no tree of that size."""
    with pytest.raises(TreeError):
        Frontier.from_bytes(3, b"\x00" * 32)


@given(SIZES, st.data())
def test_inclusion(size: int, data: st.DataObject) -> None:
    """A proof leads to the root from its own leaf at its own place, and from nothing else."""
    index = data.draw(st.integers(0, size - 1))
    leaves = many(size)
    path = inclusion_proof(index, size, lambda first, count: slow_root(leaves[first:][:count]))

    assert root_from_inclusion(index, size, leaves[index], path) == slow_root(leaves)
    assert root_from_inclusion(index, size, leaf_hash(b"another"), path) != slow_root(leaves)


@given(SIZES, st.data())
def test_a_proof_of_another_length_is_refused(size: int, data: st.DataObject) -> None:
    """One step more or less is no proof."""
    index = data.draw(st.integers(0, size - 1))
    leaves = many(size)
    path = inclusion_proof(index, size, lambda first, count: slow_root(leaves[first:][:count]))
    with pytest.raises(TreeError):
        root_from_inclusion(index, size, leaves[index], [*path, b"\x00" * 32])
    if path:
        with pytest.raises(TreeError):
            root_from_inclusion(index, size, leaves[index], path[:-1])


@given(SIZES, st.data())
def test_consistency(size: int, data: st.DataObject) -> None:
    """A tree is consistent with each of its beginnings, and with no other tree."""
    old = data.draw(st.integers(1, size))
    leaves = many(size)
    root, old_root = slow_root(leaves), slow_root(leaves[:old])
    proof = consistency_proof(old, size, lambda first, count: slow_root(leaves[first:][:count]))
    rewritten = slow_root([leaf_hash(b"x"), *leaves[1:old]])

    assert is_consistent(old, old_root, size, root, proof)
    assert not is_consistent(old, rewritten, size, root, proof)
    assert not is_consistent(old, old_root, size, slow_root([*leaves, leaf_hash(b"x")]), proof)
    assert not is_consistent(old, old_root, size, root, [*proof, b"\x00" * 32])


@given(SIZES, st.data())
def test_a_withheld_run_gives_the_same_tree(size: int, data: st.DataObject) -> None:
    """Leaves from one place to another can be replaced by hashes of subtrees, and few of them."""
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start, size))
    leaves = many(size)
    run = Pruned(start)
    for leaf in leaves[start:end]:
        run.append(leaf)
    tree = Frontier()
    for leaf in leaves[:start]:
        tree.append(leaf)
    for level, node in run.nodes:
        tree.push(level, node)
    for leaf in leaves[end:]:
        tree.append(leaf)

    assert tree.root() == slow_root(leaves)
    assert len(run.nodes) <= 2 * size.bit_length()


@pytest.mark.parametrize(("level", "digest"), [(1, b"\x00" * 32), (0, b""), (63, b"\x00" * 32)])
def test_a_subtree_begins_only_at_its_place(level: int, digest: bytes) -> None:
    """One leaf in, no larger subtree can begin; and what is no hash is none."""
    tree = Frontier()
    tree.append(many(1)[0])
    with pytest.raises(TreeError):
        tree.push(level, digest)
