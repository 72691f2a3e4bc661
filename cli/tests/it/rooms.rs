//! Rooms, the folders of a crate's `src`, form layers: [`ROOMS`] lists which room uses which, and no rooms use each
//! other in a circle.
//!
//! A file `src/a.rs` beside a folder `src/a/` belongs to room `a`; other files directly in `src` form the room `.`, the
//! crate's public face. For circles, each of those files is a room: they may stand above and below others. The crate root
//! (`lib.rs`, `main.rs`) is the table of contents and may use every room. Test code does not count.

mod parse;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use self::parse::{Path as UsePath, paths, re_exports};

/// A room, and the rooms it uses.
type Room = (&'static str, &'static [&'static str]);

/// Every crate with rooms, by its folder. When a test of this module fails, it prints the table as it should be.
#[rustfmt::skip]
const ROOMS: &[(&str, &[Room])] = &[
    ("broker", &[
        (".", &["parser"]),
        ("parser", &["."]),
    ]),
    ("cli", &[
        ("dev", &[]),
        ("permissions", &[]),
        ("reference", &["."]),
    ]),
    ("host-provider", &[
        (".", &[]),
        ("bindings", &[]),
        ("component", &["bindings", "engine", "instance", "outgoing", "push"]),
        ("config", &["component", "engine", "instance", "outgoing", "service"]),
        ("engine", &["."]),
        ("http", &["bindings", "component", "engine", "instance", "push"]),
        ("instance", &["bindings", "engine", "outgoing", "push"]),
        ("outgoing", &[]),
        ("push", &["bindings", "engine"]),
        ("service", &["component", "engine", "http", "instance", "push", "websocket"]),
        ("websocket", &["bindings", "component", "engine", "instance", "push"]),
    ]),
    ("ingress", &[
        (".", &["config", "http", "protection", "server", "websocket"]),
        ("config", &[".", "http", "observability", "protection", "server", "websocket"]),
        ("http", &[".", "config", "observability", "protection", "websocket"]),
        ("observability", &[".", "http", "websocket"]),
        ("protection", &["http", "observability"]),
        ("server", &[".", "config", "http", "observability", "protection"]),
        ("websocket", &[".", "config", "http", "observability", "protection", "server"]),
    ]),
    ("library", &[
        (".", &[]),
        ("gateway", &[]),
    ]),
    ("nats", &[
        (".", &["connection", "exchange", "plain"]),
        ("connection", &[".", "exchange", "plain"]),
        ("exchange", &[".", "connection"]),
        ("plain", &[".", "connection", "exchange", "responder"]),
        ("presence", &["connection", "exchange", "plain", "requester"]),
        ("requester", &[".", "connection", "exchange", "plain", "presence", "websocket"]),
        ("responder", &[".", "connection", "exchange", "plain", "requester", "websocket"]),
        ("websocket", &[".", "connection", "exchange", "plain", "presence", "requester"]),
    ]),
    ("reverse", &[
        (".", &["forward", "websocket"]),
        ("backend", &["."]),
        ("config", &[".", "backend", "forward"]),
        ("forward", &["backend"]),
        ("websocket", &["backend", "forward"]),
    ]),
    ("settings", &[
        (".", &["program", "value"]),
        ("load", &["program", "value"]),
        ("program", &["value"]),
        ("value", &[]),
    ]),
    ("test-support", &[
        (".", &[]),
        ("clients", &["."]),
        ("fault_proxy", &[]),
        ("origin", &[".", "clients"]),
        ("servers", &[".", "tools"]),
        ("tools", &[]),
    ]),
    ("wire", &[
        (".", &["routing"]),
        ("frame", &[".", "head"]),
        ("head", &["."]),
        ("permissions", &["routing", "subject"]),
        ("plain", &[".", "head", "subject"]),
        ("routing", &[]),
        ("subject", &[".", "routing"]),
        ("websocket", &[".", "routing"]),
    ]),
];

/// Which room uses which. A file of room `.` is a room here: `error.rs`.
type Uses = BTreeMap<String, BTreeSet<String>>;
/// The name of the room of single files.
const FACE: &str = ".";
/// The crate roots.
const ROOTS: [&str; 2] = ["lib", "main"];

/// The sources of a crate.
struct Crate {
    src: PathBuf,
    /// Names that the crate root re-exports, and their paths.
    exported: BTreeMap<String, UsePath>,
}

impl Crate {
    fn read(src: PathBuf) -> Self {
        let roots =
            ["lib.rs", "main.rs"].map(|name| std::fs::read_to_string(src.join(name)).unwrap_or_default());
        let exported = roots.iter().flat_map(|text| re_exports(text)).collect();
        Self { src, exported }
    }

    /// Whether it has a folder that is a room.
    fn has_rooms(&self) -> bool {
        let mut entries = self.src.read_dir().into_iter().flatten().filter_map(Result::ok);
        entries
            .any(|entry| entry.path().is_dir() && entry.file_name() != "tests" && entry.file_name() != "bin")
    }

    fn uses(&self) -> Uses {
        let mut uses = Uses::new();
        let mut files = Vec::new();
        source_files(&self.src, &mut files);
        for file in files {
            let module = module(file.strip_prefix(&self.src).unwrap());
            let room = self.room(&module);
            let used = uses.entry(room.clone()).or_default();
            let text = std::fs::read_to_string(&file).unwrap();
            let paths = paths(&text, &module);
            used.extend(paths.iter().map(|path| self.resolve(path, 0)).filter(|used| *used != room));
        }
        uses
    }

    /// The room of a module. Items of the crate root are in room `.`.
    fn room(&self, module: &[String]) -> String {
        match module.first() {
            Some(first) if self.src.join(first).is_dir() => first.clone(),
            Some(first) if self.src.join(file_name(first)).is_file() => file_name(first),
            _ => FACE.to_owned(),
        }
    }

    /// The room that a path from the crate root leads to. A re-exported name leads to where it is defined.
    fn resolve(&self, path: &[String], depth: usize) -> String {
        let is_item = self.room(path) == FACE;
        match path.first().and_then(|first| self.exported.get(first)) {
            Some(target) if is_item && depth < 8 => self.resolve(target, depth + 1),
            _ => self.room(path),
        }
    }
}

fn file_name(module: &str) -> String {
    format!("{module}.rs")
}

/// The uses with all single files in one room.
fn collapsed(uses: &Uses) -> Uses {
    let room = |name: &String| if name.ends_with(".rs") { FACE.to_owned() } else { name.clone() };
    let mut rooms = Uses::new();
    for (user, used) in uses {
        let user = room(user);
        let used: Vec<String> = used.iter().map(room).filter(|used| *used != user).collect();
        rooms.entry(user).or_default().extend(used);
    }
    rooms
}

/// `["a", "b"]` of `a/b.rs`.
fn module(file: &Path) -> Vec<String> {
    file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect()
}

/// All files but the crate roots and tests.
fn source_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in directory.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if ["tests", "bin"].contains(&&*stem) {
            continue;
        }
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !ROOTS.contains(&&*stem) {
            files.push(path);
        }
    }
}

/// All crates of the workspace that have rooms, by folder.
fn crates() -> BTreeMap<String, Uses> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let folders = workspace.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let crates = folders.filter(|folder| folder.join("Cargo.toml").is_file()).filter_map(|folder| {
        let read = Crate::read(folder.join("src"));
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        read.has_rooms().then(|| (name, read.uses()))
    });
    crates.collect()
}

/// A crate's entry of [`ROOMS`].
fn entry(name: &str, uses: &Uses) -> String {
    let mut text = format!("    ({name:?}, &[\n");
    for (room, used) in uses {
        let used: Vec<String> = used.iter().map(|room| format!("{room:?}")).collect();
        let _ = writeln!(text, "        ({room:?}, &[{}]),", used.join(", "));
    }
    text + "    ]),\n"
}

#[test]
fn rooms_use_the_rooms_of_the_table() {
    let expected: BTreeMap<String, Uses> = ROOMS
        .iter()
        .map(|(name, rooms)| {
            let uses = rooms.iter().map(|(room, used)| {
                ((*room).to_owned(), used.iter().map(|room| (*room).to_owned()).collect())
            });
            ((*name).to_owned(), uses.collect())
        })
        .collect();
    let crates: BTreeMap<String, Uses> =
        crates().into_iter().map(|(name, uses)| (name, collapsed(&uses))).collect();
    if crates == expected {
        return;
    }
    let mut differences = String::new();
    for (name, uses) in &crates {
        for (room, used) in uses {
            let before = expected.get(name).and_then(|rooms| rooms.get(room)).cloned().unwrap_or_default();
            let new: Vec<_> = used.difference(&before).collect();
            let gone: Vec<_> = before.difference(used).collect();
            if !new.is_empty() || !gone.is_empty() {
                let _ = writeln!(differences, "{name}/{room}: uses {new:?} not in the table, not {gone:?}");
            }
        }
    }
    let table: String = crates.iter().map(|(name, uses)| entry(name, uses)).collect();
    panic!(
        "the rooms differ from ROOMS in {}:\n{differences}\nIf that is intended, this is the table:\n\n\
         const ROOMS: &[(&str, &[Room])] = &[\n{table}];\n",
        file!()
    );
}

/// Circles that are still to be untied. The list may only become shorter.
const KNOWN_CIRCLES: &[&str] = &[
    "ingress: config → http → config",
    "ingress: http → config → http",
    "ingress: observability → http → observability",
    "ingress: protection → http → protection",
    "ingress: server → config → server",
    "ingress: websocket → config → websocket",
    "nats: connection → error.rs → connection",
    "nats: exchange → connection → exchange",
    "nats: plain → body.rs → plain",
    "nats: presence → requester → presence",
    "nats: requester → presence → requester",
    "nats: responder → plain → responder",
    "nats: websocket → requester → websocket",
];

#[test]
fn no_other_rooms_use_each_other_in_a_circle() {
    let circles: Vec<String> = crates()
        .iter()
        .flat_map(|(name, uses)| {
            circles(uses).into_iter().map(move |circle| format!("{name}: {}", circle.join(" → ")))
        })
        .collect();

    let circles: Vec<&str> = circles.iter().map(String::as_str).collect();
    assert_eq!(circles, KNOWN_CIRCLES);
}

/// The shortest circle through each folder that is in one: its first room is also its last. Single files may use each
/// other.
fn circles(uses: &Uses) -> Vec<Vec<String>> {
    uses.keys().filter(|room| !room.ends_with(".rs")).filter_map(|room| circle(room, uses)).collect()
}

fn circle(room: &str, uses: &Uses) -> Option<Vec<String>> {
    let mut paths = vec![vec![room.to_owned()]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            for used in path.last().and_then(|last| uses.get(last)).into_iter().flatten() {
                let next = [&path[..], std::slice::from_ref(used)].concat();
                if used == room {
                    return Some(next);
                }
                if seen.insert(used) {
                    longer.push(next);
                }
            }
        }
        paths = longer;
    }
    None
}

#[test]
fn a_circle_is_found() {
    let uses = |edges: &[(&str, &[&str])]| -> Uses {
        let edge = |(room, used): &(&str, &[&str])| {
            ((*room).to_owned(), used.iter().map(|room| (*room).to_owned()).collect())
        };
        edges.iter().map(edge).collect()
    };

    let layers = uses(&[("a", &["b", "c.rs"]), ("b", &["c.rs"]), ("c.rs", &["d.rs"]), ("d.rs", &["c.rs"])]);
    assert_eq!(circles(&layers), Vec::<Vec<String>>::new());
    let found = circles(&uses(&[("a", &["b"]), ("b", &["c.rs"]), ("c.rs", &["b"])]));
    assert_eq!(found, [["b", "c.rs", "b"]]);
}
