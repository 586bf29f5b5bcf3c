//! Trees, tiles and edges against the tables of golang/mod and a naive implementation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use bytes::Bytes;
use common::log;
use proptest::prelude::*;
use serde::Deserialize;
use tlog::Hash;
use tlog::edge::{Edge, EdgeError, plan};
use tlog::head::TreeHead;
use tlog::tile::{Level, Tile, TilePathError, edge_tiles, new_tiles};
use tlog::tree::{
    Node, SIZE_MAX, TreeError, check_consistency, check_inclusion, consistency_nodes,
    inclusion_nodes, prove_consistency, prove_inclusion, root, root_nodes, stored_count,
};

fn leaf(i: u64) -> Hash {
    Hash::leaf(format!("leaf {i}").as_bytes())
}

/// RFC 6962 §2.1, word for word.
fn naive(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(naive_split(leaves.len()));
            Hash::node(&naive(left), &naive(right))
        }
    }
}

fn naive_split(len: usize) -> usize {
    let mut k = 1;
    while k * 2 < len {
        k *= 2;
    }
    k
}

/// RFC 6962 §2.1.1.
fn naive_path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if m < k {
        (naive_path(m, left), naive(right))
    } else {
        (naive_path(m - k, right), naive(left))
    };
    path.push(sibling);
    path
}

/// RFC 6962 §2.1.2.
fn naive_proof(m: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if known {
            Vec::new()
        } else {
            vec![naive(leaves)]
        };
    }
    let k = naive_split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (naive_proof(m, left, known), naive(right))
    } else {
        (naive_proof(m - k, right, false), naive(left))
    };
    proof.push(sibling);
    proof
}

fn reader(leaves: &[Hash]) -> impl Fn(Node) -> Option<Hash> {
    |node| {
        let start = (node.n() << node.level()) as usize;
        leaves.get(start..start + (1 << node.level())).map(naive)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    n: u64,
    root: String,
    rec: Option<Vec<String>>,
    tree: Option<Vec<String>>,
    m: u64,
}

#[test]
fn roots_and_proofs_equal_gos() {
    let rows: Vec<Row> = serde_json::from_str(include_str!("vectors/tlog_oracle130.json")).unwrap();
    assert_eq!(rows.len(), 130);
    let leaves: Vec<Hash> = (0..130).map(leaf).collect();
    let texts = |proof: Vec<Hash>| proof.iter().map(Hash::to_string).collect::<Vec<_>>();
    for row in rows {
        let read = reader(&leaves);
        assert_eq!(root(row.n, &read).unwrap().to_string(), row.root);
        let inclusion = prove_inclusion(row.n, row.m, &read).unwrap();
        assert_eq!(texts(inclusion), row.rec.unwrap_or_default());
        let consistency = prove_consistency(row.n, row.m + 1, &read).unwrap();
        assert_eq!(texts(consistency), row.tree.unwrap_or_default());
    }
}

#[test]
fn roots_and_proofs_of_small_trees_are_the_naive_ones() {
    let all: Vec<Hash> = (0..70).map(leaf).collect();
    for n in 0..=all.len() {
        let leaves = &all[..n];
        let size = n as u64;
        let read = reader(leaves);
        let head = root(size, &read).unwrap();
        assert_eq!(head, naive(leaves));
        assert!(root_nodes(size).iter().all(|node| node.is_in(size)));
        for (m, leaf) in leaves.iter().enumerate() {
            let index = m as u64;
            let proof = prove_inclusion(size, index, &read).unwrap();
            assert_eq!(proof, naive_path(m, leaves));
            assert!(check_inclusion(&proof, size, &head, index, leaf).is_ok());
            let nodes = inclusion_nodes(size, index).unwrap();
            assert!(nodes.iter().all(|node| node.is_in(size)));
        }
        for m in 1..=n {
            let old = m as u64;
            let proof = prove_consistency(size, old, &read).unwrap();
            assert_eq!(proof, naive_proof(m, leaves, true));
            let old_root = naive(&all[..m]);
            assert!(check_consistency(&proof, size, &head, old, &old_root).is_ok());
            let nodes = consistency_nodes(size, old).unwrap();
            assert!(nodes.iter().all(|node| node.is_in(size)));
        }
    }
}

#[test]
fn a_changed_proof_does_not_hold() {
    let leaves: Vec<Hash> = (0..23).map(leaf).collect();
    let read = reader(&leaves);
    let head = naive(&leaves);
    for m in 0..23 {
        let proof = prove_inclusion(23, m, &read).unwrap();
        let holds = |proof: &[Hash], index, hash: &Hash| {
            check_inclusion(proof, 23, &head, index, hash).is_ok()
        };
        let hash = leaf(m);
        assert!(holds(&proof, m, &hash));
        assert!(!holds(&proof, (m + 1) % 23, &hash));
        assert!(!holds(&proof, m, &leaf(99)));
        for bad in mutations(&proof) {
            assert!(!holds(&bad, m, &hash));
        }
        let old = m + 1;
        let old_root = naive(&leaves[..old as usize]);
        let proof = prove_consistency(23, old, &read).unwrap();
        let holds =
            |proof: &[Hash], root: &Hash| check_consistency(proof, 23, &head, old, root).is_ok();
        assert!(holds(&proof, &old_root));
        assert!(!holds(&proof, &leaf(99)));
        for bad in mutations(&proof) {
            assert!(!holds(&bad, &old_root));
        }
    }
}

fn mutations(proof: &[Hash]) -> Vec<Vec<Hash>> {
    let mut all = vec![[proof, &[leaf(0)]].concat(), [&[leaf(0)], proof].concat()];
    for i in 0..proof.len() {
        let mut flipped = proof.to_vec();
        flipped[i].0[i % 32] ^= 1;
        let mut shorter = proof.to_vec();
        shorter.remove(i);
        all.extend([flipped, shorter]);
    }
    all
}

#[test]
fn questions_outside_the_tree_are_refused() {
    let none = |_: Node| None;
    for (size, index) in [
        (0, 0),
        (1, 1),
        (5, 9),
        (SIZE_MAX + 1, 0),
        (u64::MAX, u64::MAX),
    ] {
        assert!(prove_inclusion(size, index, none).is_err());
        assert!(check_inclusion(&[], size, &leaf(0), index, &leaf(0)).is_err());
    }
    for (size, old) in [(0, 0), (1, 0), (5, 6), (SIZE_MAX + 1, 1)] {
        assert!(prove_consistency(size, old, none).is_err());
        assert!(check_consistency(&[], size, &leaf(0), old, &leaf(0)).is_err());
    }
    assert!(root(SIZE_MAX + 1, none).is_err());
    let missing = Node::new(0, 0).unwrap();
    assert_eq!(root(1, none), Err(TreeError::Missing(missing)));
    assert!(root(SIZE_MAX, |_| Some(leaf(0))).is_ok());
}

#[test]
fn stored_hashes_are_dense() {
    // A log that appends writes each leaf and the subtrees it completes.
    let mut index = 0;
    for n in 0_u64..300 {
        assert_eq!(stored_count(n), index);
        for level in 0..=(n + 1).trailing_zeros() as u8 {
            let node = Node::new(level, n >> level).unwrap();
            assert_eq!(node.stored_index(), index);
            assert_eq!(Node::from_stored_index(index), Some(node));
            index += 1;
        }
    }
    let last = Node::new(0, SIZE_MAX - 1).unwrap();
    assert_eq!(Node::from_stored_index(last.stored_index()), Some(last));
    assert_eq!(Node::new(0, SIZE_MAX), None);
    assert_eq!(Node::new(63, 0), None);
    assert_eq!(Node::new(64, 0), None);
    assert_eq!(Node::from_stored_index(u64::MAX), None);
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct TileRow {
    h: u8,
    l: i8,
    n: u64,
    w: u32,
    #[serde(rename = "path")]
    path: String,
}

#[test]
fn tile_paths_equal_gos() {
    let rows: Vec<TileRow> =
        serde_json::from_str(include_str!("vectors/tlog_tilepath.json")).unwrap();
    for row in rows {
        let level = u8::try_from(row.l).map_or(Level::Data, Level::Hashes);
        let tile = Tile::new(row.h, level, row.n, row.w).ok_or(TilePathError);
        assert_eq!(Tile::parse(&row.path), tile, "{}", row.path);
        if let Ok(tile) = tile {
            assert_eq!(tile.path(), row.path);
        }
    }
}

#[test]
fn a_tile_has_one_path() {
    for path in [
        "",
        "tile",
        "tile/8/0",
        "tile/8/0/",
        "/tile/8/0/000",
        "tile/8/0/0",
        "tile/8/0/0000",
        "tile/8/0/x000",
        "tile/8/0/x000/000",
        "tile/8/0/000/001",
        "tile/8/0/x001/x002",
        "tile/8/0/000.p/0",
        "tile/8/0/000.p/256",
        "tile/8/0/000.p/01",
        "tile/8/0/000.p/+1",
        "tile/8/0/000.p",
        "tile/8/0/000.p/1/",
        "tile/8/0/000.p/1.p/1",
        "tile/8/00/000",
        "tile/8/+0/000",
        "tile/8/-1/000",
        "tile/8/64/000",
        "tile/08/0/000",
        "tile/0/0/000",
        "tile/31/0/000",
        "tile/8/data",
        "tile/8/DATA/000",
        "tile/8/entries/000",
        "tile/8/0/x009/x223/x372/x036/x854/x775/808",
        "tile/8/0/x999/x999/x999/x999/x999/x999/x999/999",
    ] {
        assert_eq!(Tile::parse(path), Err(TilePathError), "{path}");
    }
    let last = "tile/8/0/x009/x223/x372/x036/x854/x775/807";
    assert_eq!(Tile::parse(last).unwrap().path(), last);
}

#[test]
fn c2sp_paths_have_no_height() {
    for (path, go) in [
        ("tile/0/000", "tile/8/0/000"),
        ("tile/63/x001/x234/067", "tile/8/63/x001/x234/067"),
        ("tile/1/x001/000.p/255", "tile/8/1/x001/000.p/255"),
        ("tile/entries/000.p/7", "tile/8/data/000.p/7"),
    ] {
        let tile = Tile::parse_c2sp(path).unwrap();
        assert_eq!(tile.c2sp_path().as_deref(), Some(path));
        assert_eq!(tile.path(), go);
        assert!(Tile::parse(path).is_err());
        assert!(Tile::parse_c2sp(go).is_err());
    }
    for path in [
        "tile/64/000",
        "tile/00/000",
        "tile/0/000.p/256",
        "tile/data/000",
        "tile/entries/0",
    ] {
        assert_eq!(Tile::parse_c2sp(path), Err(TilePathError), "{path}");
    }
    let low = Tile::new(2, Level::Data, 0, 1).unwrap();
    assert_eq!(low.c2sp_path(), None);
}

#[test]
fn tiles_of_a_tree_are_as_c2sp_counts_them() {
    let widths = |size| -> Vec<(Level, u64, u32)> {
        edge_tiles(8, size)
            .into_iter()
            .map(|tile| (tile.level(), tile.n(), tile.width()))
            .collect()
    };
    let at = |level, n, width| (Level::Hashes(level), n, width);
    assert_eq!(widths(70_000), [at(0, 273, 112), at(1, 1, 17), at(2, 0, 1)]);
    assert_eq!(widths(256), [at(1, 0, 1)]);
    assert_eq!(widths(0), []);
    assert_eq!(new_tiles(8, 0, 70_000).len(), 274 + 2 + 1);
    assert_eq!(new_tiles(8, 70_000, 70_000), []);
    assert_eq!(new_tiles(8, 70_000, 70_001).len(), 1);
    assert_eq!(new_tiles(0, 0, 10), []);
    assert_eq!(new_tiles(200, 0, 10), []);
    assert_eq!(edge_tiles(8, u64::MAX).len(), 8);
}

/// Go's NewTiles, by its definition: what the larger tree has and the smaller one has not.
fn naive_new_tiles(height: u8, old: u64, new: u64) -> Vec<Tile> {
    let all = |size: u64| {
        let mut tiles = Vec::new();
        for level in 0..=63 {
            for n in 0..=size {
                tiles.extend(Tile::in_tree(height, Level::Hashes(level), n, size));
            }
        }
        tiles
    };
    let before = all(old);
    let mut after = all(new);
    after.retain(|tile| !before.contains(tile));
    after
}

#[test]
fn new_tiles_are_those_the_smaller_tree_has_not() {
    for height in 1..=3 {
        for new in 0..20 {
            for old in 0..=new {
                assert_eq!(
                    new_tiles(height, old, new),
                    naive_new_tiles(height, old, new),
                    "{height} {old} {new}"
                );
            }
        }
    }
}

#[test]
fn every_hash_of_a_tree_is_in_its_tiles() {
    let size = 130;
    for height in [1, 2, 3, 8] {
        let log = log(height, size);
        for index in 0..stored_count(size) {
            let node = Node::from_stored_index(index).unwrap();
            let narrow = Tile::for_node(height, node).unwrap();
            let tile = Tile::in_tree(height, narrow.level(), narrow.n(), size).unwrap();
            assert!(tile.width() >= narrow.width());
            for tile in [narrow, tile] {
                let content = log.tile(tile).unwrap();
                assert_eq!(content.len(), tile.byte_len());
                assert_eq!(tile.node_hash(&content, node), log.node(node));
                assert_eq!(
                    tile.node_hash(&content[..content.len() - 1], node)
                        .is_some(),
                    tile != narrow
                );
            }
        }
    }
}

#[test]
fn the_edge_tiles_hold_the_nodes_of_the_root() {
    for height in [1, 2, 3, 8] {
        for size in 0..600 {
            let tiles = edge_tiles(height, size);
            let held = root_nodes(size).into_iter().all(|node| {
                let narrow = Tile::for_node(height, node).unwrap();
                tiles.iter().any(|tile| {
                    tile.level() == narrow.level()
                        && tile.n() == narrow.n()
                        && tile.width() >= narrow.width()
                })
            });
            assert!(held, "{height} {size}");
            let widths: u32 = tiles.iter().map(|tile| tile.width().count_ones()).sum();
            assert_eq!(widths, size.count_ones(), "nothing on the edge is unproved");
        }
    }
}

fn leaves_of(log: &common::MemLog) -> Vec<Hash> {
    (0..log.size())
        .map(|i| log.node(Node::new(0, i).unwrap()).unwrap())
        .collect()
}

#[test]
fn appending_one_by_one_publishes_what_the_log_has() {
    let log = log(8, 1100);
    let leaves = leaves_of(&log);
    let mut edge = Edge::default();
    for (i, leaf) in leaves.iter().enumerate() {
        let old = i as u64;
        let batch = plan(&edge, &[*leaf]).unwrap();
        assert_eq!(Some(batch.head), log.head(old + 1));
        let names: Vec<Tile> = batch.tiles.iter().map(|(tile, _)| *tile).collect();
        assert_eq!(names, new_tiles(8, old, old + 1));
        for (tile, content) in &batch.tiles {
            assert_eq!(Some(content.to_vec()), log.tile(*tile), "{tile}");
        }
        edge = batch.edge;
    }
    assert_eq!(log.edge().as_ref(), Ok(&edge));
}

#[test]
fn an_edge_crosses_the_third_level() {
    // 65,536 leaves fill the first tile of level one.
    let leaf = leaf(0);
    let first = plan(&Edge::default(), &vec![leaf; 65_535]).unwrap();
    let second = plan(&first.edge, &[leaf; 3]).unwrap();
    let names: Vec<Tile> = second.tiles.iter().map(|(tile, _)| *tile).collect();
    assert_eq!(names, new_tiles(8, 65_535, 65_538));
    let whole = plan(&Edge::default(), &vec![leaf; 65_538]).unwrap();
    assert_eq!(second.edge, whole.edge);
}

#[test]
fn an_edge_is_restored_only_from_its_own_tiles() {
    let log = log(8, 700);
    for size in [0, 1, 255, 256, 257, 511, 512, 700] {
        let head = log.head(size).unwrap();
        let tiles = Edge::tiles(size);
        let contents: Vec<Bytes> = tiles
            .iter()
            .map(|tile| Bytes::from(log.tile(*tile).unwrap()))
            .collect();
        let edge = Edge::restore(&head, &contents).unwrap();
        assert_eq!((edge.size(), edge.root()), (size, head.hash));
        let rest = &leaves_of(&log)[size as usize..];
        assert_eq!(plan(&edge, rest).unwrap().edge, log.edge().unwrap());
        let wrong = EdgeError::OtherRoot { size };
        let other = TreeHead {
            hash: leaf(9),
            ..head
        };
        assert_eq!(Edge::restore(&other, &contents), Err(wrong.clone()));
        if let Some(first) = contents.first() {
            assert_eq!(Edge::restore(&head, &contents[1..]), Err(wrong.clone()));
            let mut flipped = contents.clone();
            let mut bytes = first.to_vec();
            bytes[3] ^= 1;
            flipped[0] = Bytes::from(bytes);
            assert_eq!(Edge::restore(&head, &flipped), Err(wrong));
            flipped[0] = first.slice(1..);
            assert!(matches!(
                Edge::restore(&head, &flipped),
                Err(EdgeError::TileLength { .. })
            ));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn batches_of_any_cut_lead_to_the_same_edge(cuts in prop::collection::vec(0_usize..300, 1..6)) {
        let total: usize = cuts.iter().sum();
        let leaves: Vec<Hash> = (0..total as u64).map(leaf).collect();
        let mut edge = Edge::default();
        let mut at = 0;
        for cut in cuts {
            let batch = plan(&edge, &leaves[at..at + cut]).unwrap();
            let names: Vec<Tile> = batch.tiles.iter().map(|(tile, _)| *tile).collect();
            prop_assert_eq!(names, new_tiles(8, at as u64, (at + cut) as u64));
            at += cut;
            prop_assert_eq!(batch.head.hash, naive(&leaves[..at]));
            edge = batch.edge;
        }
    }

    #[test]
    fn any_tile_survives_its_paths(h in 1_u8..=30, l in 0_u8..=64, n in 0..=i64::MAX as u64, w in 1_u32..=1 << 30, small in any::<bool>()) {
        let level = if l == 64 { Level::Data } else { Level::Hashes(l) };
        let n = if small { n % 2000 } else { n };
        let tile = Tile::new(h, level, n, (w - 1) % (1 << h) + 1).unwrap();
        prop_assert_eq!(Tile::parse(&tile.path()), Ok(tile));
        if let Some(path) = tile.c2sp_path() {
            prop_assert_eq!(Tile::parse_c2sp(&path), Ok(tile));
        }
    }

    #[test]
    fn nothing_like_a_path_panics(path in "(tile/)?[0-9xdatp./+-]{0,40}") {
        if let Ok(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.path(), path.clone());
        }
        if let Ok(tile) = Tile::parse_c2sp(&path) {
            prop_assert_eq!(tile.c2sp_path(), Some(path));
        }
    }

    #[test]
    fn arithmetic_on_any_number_holds(size in any::<u64>(), n in any::<u64>(), h in any::<u8>(), l in any::<u8>(), index in any::<u64>()) {
        for level in [Level::Data, Level::Hashes(l)] {
            if let Some(tile) = Tile::in_tree(h, level, n, size) {
                let _ = (tile.parent(size), tile.root_node(), tile.full(), tile.hashes());
            }
        }
        if let Some(node) = Node::new(l, n) {
            prop_assert_eq!(Node::from_stored_index(node.stored_index()), Some(node));
            let _ = (node.is_in(size), Tile::for_node(h, node));
        }
        if let Some(node) = Node::from_stored_index(index) {
            prop_assert_eq!(node.stored_index(), index);
        }
        let _ = (root_nodes(size), stored_count(size), edge_tiles(h, size));
        let _ = (inclusion_nodes(size, n), consistency_nodes(size, n));
    }
}
