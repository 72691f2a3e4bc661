//! Notices that files are not what they were.
//!
//! It looks at them again and again rather than ask the system to tell: notifications do not come through bind mounts,
//! network file systems and the symbolic links by which Kubernetes swaps secrets, and an editor that writes a new file
//! and renames it takes the watched one away. A look costs some microseconds for each file.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, Metadata};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Between two looks: what is saved is noticed, and found to be finished, within half a second.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Below a directory that is watched, so that somebody's home costs no more than a mistake should.
const MOST_FILES: usize = 10_000;
/// Not sources: what builds write.
const BUILD_DIRECTORY: &str = "target";
/// Says that its directory is a cache (<https://bford.info/cachedir>): cargo's, under whatever name.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// Files, or directories with all that is in them, and what they were when somebody last looked.
///
/// Of a directory, hidden files and what is below a `target` or a tagged cache do not count.
#[derive(Clone, Debug)]
pub struct FileWatch {
    files: Vec<(PathBuf, Stamp)>,
}

/// Differs whenever a file does: it is another one, or was written to, or is gone. Links are followed.
type Stamp = u64;

impl FileWatch {
    /// Remembers what these files are now. They need not be there.
    pub fn new(files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let files = files.into_iter().map(Into::into);
        Self { files: files.map(|file: PathBuf| (file.clone(), stamp(&file))).collect() }
    }

    /// Of files that somebody has read after `begun`, and named only when done: what has changed since then is told.
    /// That a file is gone is not.
    pub fn since(begun: SystemTime, files: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        let mut watch = Self::new(files);
        for (_, stamp) in watch.files.iter_mut().filter(|(file, _)| changed_at(file) >= Some(begun)) {
            *stamp = !*stamp;
        }
        watch
    }

    /// Waits until some of them have changed and then been quiet for a moment, and says which. Never, if there are
    /// none.
    ///
    /// # Cancel safety
    /// Nothing is lost: a change that was not told is told by the next call.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        let mut before = self.files.clone();
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
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
    look(path, &mut MOST_FILES.clone(), &mut |path, metadata| {
        path.hash(&mut hasher);
        metadata.map(of_file).hash(&mut hasher);
    });
    hasher.finish()
}

/// When the last of the files was.
fn changed_at(path: &Path) -> Option<SystemTime> {
    let mut last = None;
    look(path, &mut MOST_FILES.clone(), &mut |_, metadata| last = last.max(metadata.and_then(change)));
    last
}

fn change(metadata: &Metadata) -> Option<SystemTime> {
    let (seconds, nanoseconds) = (metadata.ctime().try_into().ok()?, metadata.ctime_nsec().try_into().ok()?);
    UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
}

/// Shows a file, or all those below a directory.
fn look(path: &Path, left: &mut usize, show: &mut impl FnMut(&Path, Option<&Metadata>)) {
    let metadata = fs::metadata(path).ok();
    if !metadata.as_ref().is_some_and(Metadata::is_dir) {
        return show(path, metadata.as_ref());
    }
    let mut entries: Vec<PathBuf> = entries(path).filter(|entry| counts(entry)).collect();
    if entries.iter().any(|entry| entry.ends_with(CACHE_TAG)) {
        return;
    }
    entries.sort();
    for entry in entries {
        *left = left.saturating_sub(1);
        if *left == 0 {
            return;
        }
        look(&entry, left, show);
    }
}

fn of_file(metadata: &Metadata) -> impl Hash + use<> {
    let modified = (metadata.mtime(), metadata.mtime_nsec());
    // Which a program cannot set back, as it can the other.
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    (metadata.dev(), metadata.ino(), metadata.len(), modified, changed)
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn counts(entry: &Path) -> bool {
    let name = entry.file_name().unwrap_or_default().to_string_lossy();
    // Links to directories could lead round in circles.
    let leads_away = entry.is_symlink() && entry.is_dir();
    !name.starts_with('.') && name != BUILD_DIRECTORY && !leads_away
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Far beyond two looks, also on a busy machine.
    const SOON: Duration = Duration::from_secs(20);

    async fn told(watch: &mut FileWatch) -> Vec<PathBuf> {
        tokio::time::timeout(SOON, watch.changed()).await.expect("a change is told")
    }

    #[tokio::test]
    async fn written_replaced_and_removed_files_are_told_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("one"), "1").unwrap();
        fs::write(file("other"), "1").unwrap();
        let mut watch = FileWatch::new([file("one"), file("other"), file("later")]);

        fs::write(file("one"), "2").unwrap();
        assert_eq!(told(&mut watch).await, [file("one")]);

        fs::write(file("new"), "2").unwrap();
        fs::rename(file("new"), file("other")).unwrap();
        assert_eq!(told(&mut watch).await, [file("other")]);

        fs::write(file("later"), "").unwrap();
        fs::remove_file(file("one")).unwrap();
        assert_eq!(told(&mut watch).await, [file("one"), file("later")]);
    }

    #[tokio::test]
    async fn a_link_that_leads_elsewhere_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("old"), "same").unwrap();
        fs::write(file("new"), "same").unwrap();
        symlink(file("old"), file("link")).unwrap();
        let mut watch = FileWatch::new([file("link")]);

        symlink(file("new"), file("next")).unwrap();
        fs::rename(file("next"), file("link")).unwrap();

        assert_eq!(told(&mut watch).await, [file("link")]);
    }

    #[tokio::test]
    async fn all_files_below_a_directory_count_but_not_what_builds_write() {
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
        assert_eq!(told(&mut watch).await, [directory.path()]);
    }

    #[tokio::test]
    async fn what_has_changed_while_it_was_not_watched_yet_is_told_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name| directory.path().join(name);
        fs::write(file("before"), "").unwrap();
        let begun = SystemTime::now();
        // The file system's clock is some milliseconds behind.
        while changed_at(&file("during")) < Some(begun) {
            fs::write(file("during"), "").unwrap();
        }

        let mut watch = FileWatch::since(begun, ["before", "during", "never"].map(file));

        assert_eq!(told(&mut watch).await, [file("during")]);
        fs::write(file("before"), "").unwrap();
        assert_eq!(told(&mut watch).await, [file("before")]);
    }
}
