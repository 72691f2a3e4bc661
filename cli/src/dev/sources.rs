//! The files that a component's directory is built from, and their changes.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use h8s_settings::FileWatch;

use super::source::TARGET;

/// Sources of every package. Missing ones are watched, too.
const PACKAGE: [&str; 5] = ["Cargo.toml", "Cargo.lock", "build.rs", "src", "wit"];
/// Sources of the workspace that the package is a member of.
const WORKSPACE: [&str; 2] = ["Cargo.toml", "Cargo.lock"];
/// The file that marks cargo's target directories (<https://bford.info/cachedir>).
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// The sources of one component: those of its package, and others that cargo reported.
#[derive(Debug)]
pub(crate) struct Sources {
    directory: PathBuf,
    own: Vec<PathBuf>,
    of_package: FileWatch,
    /// Path dependencies, interfaces, included files.
    further: Vec<PathBuf>,
    of_others: FileWatch,
    /// The whole directory, after a failed build: cargo does not report what that read.
    of_failure: FileWatch,
    /// Whether `of_failure` changed last.
    is_retry: bool,
}

impl Sources {
    /// Watches the package's sources from now on. Call it before building.
    pub(crate) fn of(directory: &Path) -> Self {
        let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
        let mut own: Vec<PathBuf> = PACKAGE.iter().map(|name| directory.join(name)).collect();
        let workspace = directory.ancestors().skip(1).find(|above| above.join("Cargo.lock").is_file());
        own.extend(workspace.into_iter().flat_map(|above| WORKSPACE.map(|name| above.join(name))));
        let of_package = FileWatch::new(&own);
        Self {
            directory,
            own,
            of_package,
            further: Vec::new(),
            of_others: nothing(),
            of_failure: nothing(),
            is_retry: false,
        }
    }

    /// Adds the sources that cargo reported beside `file`, whose build started after `begun`.
    pub(crate) fn built(&mut self, file: &Path, begun: SystemTime) {
        let report = std::fs::read_to_string(file.with_extension("d")).unwrap_or_default();
        let is_own = |path: &Path| self.own.iter().any(|own| path.starts_with(own));
        let is_further = |path: &PathBuf| !is_own(path) && !self.is_generated(path, file);
        let mut further: Vec<PathBuf> = dependencies(&report).filter(is_further).collect();
        further.sort();
        // A new watch of the same files would miss changes during the build.
        if further != self.further {
            self.of_others = FileWatch::since(begun, &further);
            self.further = further;
        }
        self.of_failure = nothing();
    }

    /// After a failed build: watches the whole directory, since the error may be in a file that no build has reported.
    pub(crate) fn failed(&mut self) {
        // Once: a log file in the directory changes with every build, and would trigger the next.
        self.of_failure = if self.is_retry { nothing() } else { FileWatch::new([&self.directory]) };
    }

    /// Whether the build that made `built` wrote `path`. Some build scripts write at every build; watching their output
    /// would rebuild forever.
    fn is_generated(&self, path: &Path, built: &Path) -> bool {
        // Cargo's layout: TARGET/wasm32-wasip2/release/NAME.wasm. A directory that existed before cargo has no tag.
        let target = built.ancestors().find(|above| above.ends_with(TARGET)).and_then(Path::parent);
        let is_for_builds = |above: &Path| Some(above) == target || above.join(CACHE_TAG).is_file();
        // A package inside a cache directory still has sources.
        let mut above = path.ancestors().skip(1).take_while(|above| !self.directory.starts_with(above));
        above.any(is_for_builds)
    }

    /// Waits until at least one has changed.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn changed(&mut self) {
        self.is_retry = tokio::select! {
            // `of_failure` also covers files of `of_package`, and would report them again.
            biased;
            _ = self.of_package.changed() => false,
            _ = self.of_others.changed() => false,
            _ = self.of_failure.changed() => true,
        };
    }
}

fn nothing() -> FileWatch {
    FileWatch::new([] as [PathBuf; 0])
}

/// The files in the first line of a cargo dep-info file: `TARGET: FILE FILE`, as for make, with `\ ` for a space in a
/// name.
fn dependencies(text: &str) -> impl Iterator<Item = PathBuf> {
    let line = text.lines().next().and_then(|line| line.split_once(": ")).map_or("", |(_, files)| files);
    // No file name contains NUL.
    let names = line.replace("\\ ", "\0");
    let names: Vec<PathBuf> =
        names.split(' ').filter(|name| !name.is_empty()).map(|name| name.replace('\0', " ").into()).collect();
    names.into_iter()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn read(text: &str) -> Vec<PathBuf> {
        dependencies(text).collect()
    }

    #[test]
    fn the_files_of_a_build_are_read() {
        assert_eq!(
            read("/t/a.wasm: /a/src/lib.rs /a\\ b/c.wit\n"),
            [Path::new("/a/src/lib.rs"), Path::new("/a b/c.wit")]
        );
        for nothing in ["", "\n", "/t/a.wasm:\n", "/t/a.wasm: \n"] {
            assert_eq!(read(nothing), Vec::<PathBuf>::new(), "{nothing:?}");
        }
    }

    #[test]
    fn a_member_of_a_workspace_has_the_workspaces_sources_too() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("member")).unwrap();
        std::fs::write(root.join("Cargo.lock"), "").unwrap();

        let sources = Sources::of(&root.join("member"));

        assert!(
            sources.own.contains(&root.join("Cargo.lock")) && sources.own.contains(&root.join("member/src"))
        );
    }

    #[test]
    fn a_build_adds_other_sources_only() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (own, other) = (root.join("src/lib.rs"), root.join("other/src/lib.rs"));
        std::fs::write(root.join("a.d"), format!("a.wasm: {} {}\n", own.display(), other.display())).unwrap();
        let mut sources = Sources::of(&root);

        sources.built(&root.join("a.wasm"), SystemTime::now());

        assert_eq!(sources.further, [other]);
    }

    #[test]
    fn files_that_the_build_wrote_are_not_sources() {
        // given a target directory made by cargo, and one that existed before
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (package, tagged) = (root.join("package"), root.join("package/tagged"));
        std::fs::create_dir_all(&tagged).unwrap();
        std::fs::write(tagged.join(CACHE_TAG), "").unwrap();
        let built = root.join("cache/wasm32-wasip2/release/a.wasm");
        std::fs::create_dir_all(built.parent().unwrap()).unwrap();
        let further = ["package/answer.txt", "shared.rs"].map(|name| root.join(name));
        let generated = [tagged.join("release/build/a/out/gen.rs"), root.join("cache/release/gen.rs")];
        let named: Vec<_> = further.iter().chain(&generated).map(|path| path.display().to_string()).collect();
        std::fs::write(built.with_extension("d"), format!("a.wasm: {}\n", named.join(" "))).unwrap();
        // when a build reports files in both, and others, for a package inside a cache directory
        std::fs::write(root.join(CACHE_TAG), "").unwrap();
        let mut sources = Sources::of(&package);
        sources.built(&built, SystemTime::now());
        // then only the others are sources
        assert_eq!(sources.further, further);
    }

    /// Several polling intervals, also on a loaded machine.
    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_file_that_changes_during_the_build_that_reports_it_is_a_change() {
        let root = tempfile::tempdir().unwrap();
        let (package, other) = (root.path().join("package"), root.path().join("other.rs"));
        std::fs::create_dir(&package).unwrap();
        let named = format!("a.wasm: {}\n", other.display());
        std::fs::write(root.path().join("a.d"), named).unwrap();
        let mut sources = Sources::of(&package);
        let begun = SystemTime::now();
        // The file system's clock lags by some milliseconds.
        while !other.metadata().is_ok_and(|file| file.modified().unwrap() >= begun) {
            std::fs::write(&other, "").unwrap();
        }

        sources.built(&root.path().join("a.wasm"), begun);

        timeout(SOON, sources.changed()).await.unwrap();
    }

    #[tokio::test]
    async fn after_a_failed_build_any_file_of_the_package_is_watched_once() {
        let root = tempfile::tempdir().unwrap();
        let mut sources = Sources::of(root.path());

        sources.failed();
        std::fs::write(root.path().join("included.txt"), "").unwrap();

        timeout(SOON, sources.changed()).await.unwrap();
        // A log that is written by every build does not trigger a third.
        sources.failed();
        std::fs::write(root.path().join("build.log"), "").unwrap();
        assert!(timeout(Duration::from_secs(1), sources.changed()).await.is_err());
    }
}
