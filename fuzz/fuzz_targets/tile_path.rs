//! A tile's path in both spellings: no panic, and each tile has one name in each.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tlog::tile::Tile;

fuzz_target!(|path: &str| {
    if let Ok(tile) = Tile::parse(path) {
        assert_eq!(tile.path(), path);
        let _ = (tile.parent(u64::MAX), tile.root_node(), tile.full().path());
    }
    if let Ok(tile) = Tile::parse_c2sp(path) {
        assert_eq!(tile.c2sp_path().as_deref(), Some(path));
        assert_eq!(Tile::parse(&tile.path()), Ok(tile));
    }
});
