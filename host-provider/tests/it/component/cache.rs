//! The cache of compiled code: cold, warm, damaged, and closed to others.

use std::fs;
use std::path::{Path, PathBuf};

use h8s_host::{CacheError, CodeCache, Limits};

use crate::fixture::{assert_unharmed, engine, source};
use crate::log;

struct Fixture {
    directory: tempfile::TempDir,
    cache: CodeCache,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::open(directory.path().join("code")).unwrap();
        Self { directory, cache }
    }

    /// Loads the test guest, and uses it.
    async fn load(&self) {
        let sources = vec![source("guests", Limits::default())];
        let mut services = h8s_host::load(engine(), Some(&self.cache), sources).await.unwrap();
        assert_unharmed(&services.remove(0)).await;
    }

    /// The only file in the cache.
    fn file(&self) -> PathBuf {
        let files = fs::read_dir(self.directory.path().join("code")).unwrap();
        let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

/// A file that was written anew is another one, even where its bytes are the same.
fn identity(file: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&fs::metadata(file).unwrap())
}

#[tokio::test]
async fn a_cold_start_fills_the_cache_and_a_warm_one_uses_it() {
    // given a cold start
    let fixture = Fixture::new();
    fixture.load().await;
    let (file, before) = (fixture.file(), identity(&fixture.file()));
    // when
    fixture.load().await;
    // then the file is still the one that the first start wrote
    assert_eq!((fixture.file(), identity(&fixture.file())), (file, before));
}

#[tokio::test]
async fn a_damaged_file_is_compiled_again() {
    type Damage = fn(Vec<u8>) -> Vec<u8>;
    let damages: [Damage; 4] = [
        |mut whole| {
            let middle = whole.len() / 2;
            whole[middle] ^= 1;
            whole
        },
        |whole| whole[..whole.len() / 2].to_vec(),
        |_| Vec::new(),
        |_| b"\x7fELF something else altogether, long enough to hold a digest".to_vec(),
    ];
    for damage in damages {
        // given a damaged file
        let fixture = Fixture::new();
        fixture.load().await;
        let whole = fs::read(fixture.file()).unwrap();
        fs::write(fixture.file(), damage(whole.clone())).unwrap();
        // when, then the component works all the same
        fixture.load().await;
        // and the file is whole again
        assert_eq!(fs::read(fixture.file()).unwrap().len(), whole.len());
        log::line(&["damaged file in the code cache", fixture.file().to_str().unwrap()]).await;
    }
}

#[tokio::test]
async fn what_another_version_wrote_is_compiled_again() {
    // given a file with a good digest, in which wasmtime finds nothing that it knows
    let fixture = Fixture::new();
    fixture.load().await;
    let code = b"no such code";
    let digest = <sha2::Sha256 as sha2::Digest>::digest(code);
    fs::write(fixture.file(), [digest.as_slice(), code].concat()).unwrap();
    // when, then
    fixture.load().await;
    log::line(&["unusable file in the code cache", fixture.file().to_str().unwrap()]).await;
}

#[tokio::test]
async fn a_directory_that_others_can_enter_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    // given
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // when, then
    let error = CodeCache::open(directory.path()).unwrap_err();
    assert!(matches!(error, CacheError::NotPrivate { .. }), "{error}");
}

#[tokio::test]
async fn a_directory_that_is_made_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let mode = fs::metadata(fixture.directory.path().join("code")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn the_cache_does_not_grow_without_bound() {
    // given a cache with many files in it
    let fixture = Fixture::new();
    for n in 0..700 {
        fs::write(fixture.directory.path().join(format!("code/{n}")), "x").unwrap();
    }
    // when one more is added
    fixture.load().await;
    // then the oldest are gone, and the new one is not
    let files = fs::read_dir(fixture.directory.path().join("code")).unwrap();
    let lengths: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
    assert_eq!(lengths.len(), 512);
    assert!(lengths.iter().any(|length| *length > 100_000));
}
