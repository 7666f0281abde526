//! Runs every target with its seeds, and with random changes of them.

use std::{collections::BTreeSet, path::Path};

use fastrand::Rng;

use super::*;

type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 5] = [
    ("manifests", manifests),
    ("objects", objects),
    ("kubeconfig", kubeconfig),
    ("kube_proxy_config", kube_proxy_config),
    ("netlink", netlink),
];

/// Returns a target's seeds, which are in the repository.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect()
}

/// Returns a random seed with one to four small changes.
fn mutation(random: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut input = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(1..=4) {
        let (at, length) = (random.usize(..=input.len()), random.usize(1..64));
        let end = (at + length).min(input.len());
        match random.u8(..5) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.u8(..)),
            2 => input.extend_from_within(at..end),
            3 => input[at..end].fill(random.u8(..)),
            _ => {
                let other = &seeds[random.usize(..seeds.len())];
                let from = random.usize(..=other.len());
                input.splice(at..end, other[from..(from + length).min(other.len())].iter().copied());
            }
        }
    }
    input
}

#[test]
fn every_target_takes_its_seeds_and_small_changes_of_them() {
    for (name, target) in TARGETS {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        for seed in &seeds {
            target(seed);
        }
        let mut random = Rng::with_seed(13);
        for _ in 0..1000 {
            target(&mutation(&mut random, &seeds));
        }
    }
}

#[test]
fn every_program_of_the_folder_calls_a_target() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let programs = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let names: BTreeSet<_> = programs
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            assert!(fs::read_to_string(&path).unwrap().contains(&format!("fuzz::{name}(")), "{}", path.display());
            name
        })
        .collect();
    assert_eq!(names, TARGETS.map(|(name, _)| name.to_owned()).into());
}
