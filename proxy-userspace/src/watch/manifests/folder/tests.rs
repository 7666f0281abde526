use std::{fs, os::unix::fs::symlink, thread};

use super::*;
use crate::{
    objects::Service,
    watch::manifests::{content::KeptObject, packed::Packed},
};

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\nspec: {ports: [{port: 80}]}\n";

fn names(folder: &Folder) -> Vec<String> {
    let objects = folder.contents().flat_map(|content| &content.objects);
    objects.map(|found| found.identity.name.clone()).collect()
}

fn write(path: &Path, name: &str) {
    fs::create_dir_all(path.parent().expect("a folder above")).expect("made");
    fs::write(path, SERVICE.replace("NAME", name)).expect("written");
}

#[test]
fn s38_manifests_are_found_below_the_folder_and_nothing_else() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let seen = ["b.yaml", "c.yml", "d.json", "sub/deep/e.yaml"];
    let unseen = [".hidden.yaml", "#x.yaml", "x.yaml~", "x.yaml.swp", "readme.md", ".git/x.yaml", "4913"];
    for (index, path) in seen.iter().chain(&unseen).enumerate() {
        write(&root.path().join(path), &format!("s{index}"));
    }
    symlink(root.path(), root.path().join("sub/loop")).expect("linked");
    symlink("nowhere", root.path().join("dangling.yaml")).expect("linked");
    let mut folder = Folder::new(root.path().to_owned());
    assert!(folder.rescan().expect("readable"));
    assert_eq!(names(&folder), ["s0", "s1", "s2", "s3"]);
    assert_eq!(folder.faults().count(), 0);
}

#[test]
fn s38_a_config_map_mount_is_followed_through_its_links() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let root = root.path();
    write(&root.join("..v1/web.yaml"), "old");
    write(&root.join("..v2/web.yaml"), "new");
    symlink("..v1", root.join("..data")).expect("linked");
    symlink("..data/web.yaml", root.join("web.yaml")).expect("linked");
    let mut folder = Folder::new(root.to_owned());
    folder.rescan().expect("readable");
    assert_eq!(names(&folder), ["old"]);
    symlink("..v2", root.join("..tmp")).expect("linked");
    fs::rename(root.join("..tmp"), root.join("..data")).expect("swapped");
    assert!(folder.rescan().expect("readable"));
    assert_eq!(names(&folder), ["new"]);
}

#[test]
fn s38_a_broken_file_keeps_its_last_good_content_and_is_named_with_its_line() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let (good, bad) = (root.path().join("a.yaml"), root.path().join("b.yaml"));
    write(&good, "a");
    write(&bad, "b");
    let mut folder = Folder::new(root.path().to_owned());
    folder.rescan().expect("readable");
    for (text, line) in [(&b"a: 1\nb: [\n"[..], 2..=3), (b"a: b\n\xff: c\n", 2..=2)] {
        fs::write(&bad, text).expect("written");
        assert!(folder.rescan().expect("readable"));
        assert_eq!(names(&folder), ["a", "b"]);
        let faults: Vec<_> = folder.faults().collect();
        assert_eq!((faults.len(), &faults[0].file), (1, &bad));
        assert!(line.contains(&faults[0].line), "{faults:?}");
    }
    write(&bad, "c");
    assert!(folder.rescan().expect("readable"));
    assert_eq!((names(&folder), folder.faults().count()), (vec!["a".to_owned(), "c".to_owned()], 0));
    fs::remove_file(&bad).expect("removed");
    assert!(folder.rescan().expect("readable"));
    assert_eq!(names(&folder), ["a"]);
}

#[test]
fn s38_a_change_of_one_file_reads_no_other() {
    /// Returns the Services as they are kept.
    fn services(folder: &Folder) -> Vec<Packed<Service>> {
        let objects = folder.contents().flat_map(|content| &content.objects);
        let packed = objects.map(|found| match &found.object {
            KeptObject::Service(service) => service.clone(),
            other => panic!("a Service, not {other:?}"),
        });
        packed.collect()
    }
    let root = tempfile::tempdir().expect("a temporary folder");
    let (changed, other) = (root.path().join("a.yaml"), root.path().join("b.yaml"));
    write(&changed, "a");
    write(&other, "b");
    // Stamps are trusted from then on.
    thread::sleep(STAMP_GRAIN * 2);
    let mut folder = Folder::new(root.path().to_owned());
    folder.rescan().expect("readable");
    let before = services(&folder);
    write(&changed, "c");
    assert!(folder.rescan().expect("readable"));
    let now = services(&folder);
    assert_eq!(names(&folder), ["c", "b"]);
    assert!(now[1].is_shared_with(&before[1]) && !now[0].is_shared_with(&before[0]));
}

#[test]
fn s38_a_folder_that_is_gone_is_an_error_and_what_is_known_stays() {
    let root = tempfile::tempdir().expect("a temporary folder");
    write(&root.path().join("a.yaml"), "a");
    let mut folder = Folder::new(root.path().to_owned());
    folder.rescan().expect("readable");
    root.close().expect("removed");
    assert_eq!(folder.rescan().expect_err("gone").kind(), io::ErrorKind::NotFound);
    assert_eq!(names(&folder), ["a"]);
}

#[test]
fn s38_a_stamp_is_trusted_only_when_a_later_change_must_differ() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    let metadata = file.as_file().metadata().expect("known");
    let stamp = Stamp::of(&metadata);
    let changed = metadata.modified().expect("known");
    assert_eq!(stamp.trusted(changed + STAMP_GRAIN / 2), None);
    assert_eq!(stamp.trusted(changed + STAMP_GRAIN * 2), Some(stamp));
    assert_eq!(stamp.trusted(changed - STAMP_GRAIN), None, "a clock that was set back");
}
