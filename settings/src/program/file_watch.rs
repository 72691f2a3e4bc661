//! Notices changes of files.
//!
//! By polling: notifications of the system do not cross bind mounts, network file systems and the symbolic links by which
//! Kubernetes swaps secrets, and end when an editor replaces the watched file by renaming a new one. A poll costs some
//! microseconds per file.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The poll interval. A change is noticed, and found to be complete, within half a second.
const POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The limit of files below a watched directory, in case a home directory is watched by mistake.
const MAX_FILES: usize = 10_000;
/// The output of builds, not a source.
const BUILD_DIRECTORY: &str = "target";
/// Marks its directory as a cache (<https://bford.info/cachedir>), such as cargo's under any name.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// Files, or directories with their content, and their state at the last poll.
///
/// In a directory, hidden files and the content of `target` and of tagged caches are ignored.
#[derive(Clone, Debug)]
pub struct FileWatch {
    files: Vec<(PathBuf, Stamp)>,
}

/// Changes when a file is replaced, written or removed. Links are followed.
type Stamp = u64;

impl FileWatch {
    /// Records the state of these files. They need not exist.
    pub fn new(files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let files = files.into_iter().map(Into::into);
        Self { files: files.map(|file: PathBuf| (file.clone(), stamp(&file))).collect() }
    }

    /// For files that were read after `begun`: reports changes since then. Does not report a removal since then.
    pub fn since(begun: SystemTime, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let mut watch = Self::new(files);
        for (_, stamp) in watch.files.iter_mut().filter(|(file, _)| changed_at(file) >= Some(begun)) {
            *stamp = !*stamp;
        }
        watch
    }

    /// Waits until some files have changed and then stayed unchanged for one interval, and returns them. Waits forever
    /// without files.
    ///
    /// # Cancel safety
    /// Nothing is lost: the next call returns the change.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        let mut before = self.files.clone();
        loop {
            tokio::time::sleep(POLL_INTERVAL).await;
            let now: Vec<_> = before.iter().map(|(file, _)| (file.clone(), stamp(file))).collect();
            let is_quiet = now == before;
            if is_quiet && now != self.files {
                let known = std::mem::replace(&mut self.files, now);
                let both = self.files.iter().zip(known);
                return both.filter(|(now, known)| **now != *known).map(|(now, _)| now.0.clone()).collect();
            }
            before = now;
        }
    }
}

fn stamp(path: &Path) -> Stamp {
    let mut hasher = DefaultHasher::new();
    visit(path, &mut MAX_FILES.clone(), &mut |path, metadata| {
        path.hash(&mut hasher);
        metadata.map(of_file).hash(&mut hasher);
    });
    hasher.finish()
}

/// The time of the last change.
fn changed_at(path: &Path) -> Option<SystemTime> {
    let mut last = None;
    visit(path, &mut MAX_FILES.clone(), &mut |_, metadata| last = last.max(metadata.and_then(change)));
    last
}

fn change(metadata: &Metadata) -> Option<SystemTime> {
    let (seconds, nanoseconds) = (metadata.ctime().try_into().ok()?, metadata.ctime_nsec().try_into().ok()?);
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

/// Visits a file, or all files below a directory.
fn visit(path: &Path, left: &mut usize, visitor: &mut impl FnMut(&Path, Option<&Metadata>)) {
    let metadata = fs::metadata(path).ok();
    if !metadata.as_ref().is_some_and(Metadata::is_dir) {
        return visitor(path, metadata.as_ref());
    }
    let mut entries: Vec<PathBuf> = entries(path).filter(|entry| is_watched(entry)).collect();
    if entries.iter().any(|entry| entry.ends_with(CACHE_TAG)) {
        return;
    }
    entries.sort();
    for entry in entries {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        visit(&entry, left, visitor);
    }
}

fn of_file(metadata: &Metadata) -> impl Hash + use<> {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    // Unlike the modification time, a program cannot set this one.
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), metadata.len(), modified, changed)
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn is_watched(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    // Links to directories could form a cycle.
    let may_cycle = entry.is_symlink() && entry.is_dir();
    !name.starts_with('.') && name != BUILD_DIRECTORY && !may_cycle
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Far longer than two polls, also on a busy machine.
    const SOON: Duration = Duration::from_secs(20);

    async fn changed(watch: &mut FileWatch) -> Vec<PathBuf> {
        tokio::time::timeout(SOON, watch.changed()).await.expect("a change is reported")
    }

    #[tokio::test]
    async fn written_replaced_and_removed_files_are_reported_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("one"), "1").unwrap();
        fs::write(file("other"), "1").unwrap();
        let mut watch = FileWatch::new([file("one"), file("other"), file("later")]);

        fs::write(file("one"), "2").unwrap();
        assert_eq!(changed(&mut watch).await, [file("one")]);

        fs::write(file("new"), "2").unwrap();
        fs::rename(file("new"), file("other")).unwrap();
        assert_eq!(changed(&mut watch).await, [file("other")]);

        fs::write(file("later"), "").unwrap();
        fs::remove_file(file("one")).unwrap();
        assert_eq!(changed(&mut watch).await, [file("one"), file("later")]);
    }

    #[tokio::test]
    async fn a_link_to_another_file_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("old"), "same").unwrap();
        fs::write(file("new"), "same").unwrap();
        symlink(file("old"), file("link")).unwrap();
        let mut watch = FileWatch::new([file("link")]);

        symlink(file("new"), file("next")).unwrap();
        fs::rename(file("next"), file("link")).unwrap();

        assert_eq!(changed(&mut watch).await, [file("link")]);
    }

    #[tokio::test]
    async fn all_files_below_a_directory_are_watched_except_build_output() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for made in ["src/deep", "target/debug", "built/debug", ".git"] {
            fs::create_dir_all(at(made)).unwrap();
        }
        fs::write(at("built/CACHEDIR.TAG"), "").unwrap();
        let mut watch = FileWatch::new([directory.path()]);

        fs::write(at("target/debug/a.wasm"), "").unwrap();
        fs::write(at("built/debug/a.wasm"), "").unwrap();
        fs::write(at(".git/HEAD"), "").unwrap();
        assert_eq!(stamp(directory.path()), watch.files[0].1);

        fs::write(at("src/deep/lib.rs"), "").unwrap();
        assert_eq!(changed(&mut watch).await, [directory.path()]);
    }

    #[tokio::test]
    async fn a_change_before_the_watch_is_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("before"), "").unwrap();
        let begun = SystemTime::now();
        // The file system's clock is some milliseconds behind.
        while changed_at(&file("during")) < Some(begun) {
            fs::write(file("during"), "").unwrap();
        }

        let mut watch = FileWatch::since(begun, ["before", "during", "never"].map(file));

        assert_eq!(changed(&mut watch).await, [file("during")]);
        fs::write(file("before"), "").unwrap();
        assert_eq!(changed(&mut watch).await, [file("before")]);
    }
}
