//! Who may make configurations cannot give more than it has.

use std::fs;

use crate::harness::{Ran, finish, guest, perigee};

fn attenuate(what: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("data/inner")).unwrap();
    fs::write(folder.path().join("data/inner/note"), "hi").unwrap();
    finish(perigee(&["run"]).arg(guest("attenuate")).arg(what).current_dir(folder.path())).code(0)
}

#[test]
fn w03_a_configuration_gives_no_right_or_folder_that_its_maker_lacks() {
    for (what, names) in [("folder", "permissions.filesystem"), ("spawn", "add spawn"), ("compile", "add compile")] {
        let ran = attenuate(what).prints("ended badly").prints_not("gave").prints_not("used");
        ran.says(&["denied: the class \"main\"", names]);
    }
}

#[test]
fn w03_a_configuration_gives_no_more_memory_or_time_than_its_maker_has() {
    for (what, reason) in [("memory", "ran out of memory"), ("fuel", "out of fuel: 200 units")] {
        attenuate(what).prints("gave").prints("ended badly").prints_not("used").says(&[reason]);
    }
}

#[test]
fn w03_a_configuration_passes_on_what_its_maker_has() {
    attenuate("inner").prints("gave inner").prints("used inner").prints("ended well");
}
