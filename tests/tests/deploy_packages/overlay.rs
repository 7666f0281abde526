//! An overlay outside of the repository, as deploy/README.md shows it.

use std::{fs, os::unix::fs::symlink};

use tempfile::TempDir;

use super::render::{Objects, Renderer, deploy, objects};

/// A folder beside a clone of the repository, with the kustomization of deploy/README.md.
fn overlay() -> TempDir {
    let readme = fs::read_to_string(deploy("README.md")).unwrap();
    let (_, rest) = readme.split_once("   ```yaml\n").unwrap();
    let (block, _) = rest.split_once("   ```").unwrap();
    let text: String = block.lines().map(|line| line.strip_prefix("   ").unwrap().to_owned() + "\n").collect();
    let folder = tempfile::tempdir().unwrap();
    symlink(deploy(".."), folder.path().join("waggle")).unwrap();
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("kustomization.yaml"), text.replace("REGISTRY", "registry.example")).unwrap();
    folder
}

fn image(objects: &Objects) -> &str {
    let pod = &objects["DaemonSet/waggle"]["spec"]["template"]["spec"];
    pod["containers"][0]["image"].as_str().unwrap()
}

#[test]
fn an_overlay_of_ones_own_names_the_image_and_leaves_the_clone_as_it_is() {
    let Some(renderer) = Renderer::find() else { return };
    let folder = overlay();
    let own = folder.path().join("own");
    let made = objects(&renderer.kustomize(&own, &["build"]));
    assert_eq!(image(&made), concat!("registry.example/waggle:", env!("CARGO_PKG_VERSION")));
    renderer.kustomize(&own, &["edit", "set", "image", "waggle=registry.example/other:1"]);
    assert_eq!(image(&objects(&renderer.kustomize(&own, &["build"]))), "registry.example/other:1");
}
