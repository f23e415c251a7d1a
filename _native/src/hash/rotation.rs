//! One reader at a time for a rotating disk: two files read by turns would cost a seek for each chunk.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Held while a file of a rotating disk is read.
pub type Turn = Arc<Mutex<()>>;

/// The turns of all disks met in a call.
pub struct Turns {
    sysfs: PathBuf,
    known: Mutex<HashMap<u64, Option<Turn>>>,
}

impl Turns {
    pub fn new(sysfs: &Path) -> Self {
        Self { sysfs: sysfs.to_owned(), known: Mutex::default() }
    }

    /// The turn to wait for before a file of this device is read; None when any number may be read at once.
    pub fn of(&self, device: u64) -> Option<Turn> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.entry(device).or_insert_with(|| is_rotating(&self.sysfs, device).then(Turn::default)).clone()
    }
}

/// Whether the disk of a device number rotates, as `{sysfs}/dev/block/MAJOR:MINOR` tells; unknown ones don't.
///
/// A disk that a virtual machine is given says "rotating" when nothing else is known of it, so that is not believed.
fn is_rotating(sysfs: &Path, device: u64) -> bool {
    let (major, minor) = numbers(device);
    let Ok(disk) = fs::canonicalize(sysfs.join(format!("dev/block/{major}:{minor}"))) else { return false };
    let is_virtual = disk.components().any(|part| {
        let part = part.as_os_str().to_string_lossy();
        part.starts_with("virtio") || part.starts_with("vbd-")
    });
    // A partition has no queue; the disk it is on is the folder above it.
    let mut queues = [disk.as_path(), disk.parent().unwrap_or(&disk)].into_iter();
    let told = queues.find_map(|folder| fs::read_to_string(folder.join("queue/rotational")).ok());
    !is_virtual && told.is_some_and(|text| text.trim() == "1")
}

#[cfg(unix)]
#[allow(clippy::unnecessary_cast, clippy::cast_possible_truncation)] // the types differ between systems
#[allow(clippy::cast_possible_wrap)]
fn numbers(device: u64) -> (u64, u64) {
    (
        u64::from(libc::major(device as libc::dev_t) as u32),
        u64::from(libc::minor(device as libc::dev_t) as u32),
    )
}

#[cfg(not(unix))]
fn numbers(device: u64) -> (u64, u64) {
    (device, 0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn sysfs(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("pumas-sysfs-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(root.join("dev/block")).unwrap();
        root
    }

    fn add_disk(root: &Path, place: &str, number: &str, rotational: &str) {
        let disk = root.join("devices").join(place);
        fs::create_dir_all(disk.join("queue")).unwrap();
        fs::write(disk.join("queue/rotational"), rotational).unwrap();
        symlink(&disk, root.join("dev/block").join(number)).unwrap();
    }

    #[test]
    fn a_disk_and_its_partitions_rotate_as_sysfs_says() {
        let root = sysfs("partitions");
        add_disk(&root, "pci0/ata1/block/sda", "8:0", "1\n");
        add_disk(&root, "pci0/nvme0/nvme0n1", "259:0", "0\n");
        let partition = root.join("devices/pci0/ata1/block/sda/sda1");
        fs::create_dir_all(&partition).unwrap();
        symlink(&partition, root.join("dev/block/8:1")).unwrap();
        assert!(is_rotating(&root, libc::makedev(8, 0)));
        assert!(is_rotating(&root, libc::makedev(8, 1)));
        assert!(!is_rotating(&root, libc::makedev(259, 0)));
        assert!(!is_rotating(&root, libc::makedev(0, 45))); // btrfs and its like have no disk of their own
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn a_virtual_disk_is_not_believed() {
        let root = sysfs("virtual");
        add_disk(&root, "pci0/virtio1/block/vda", "254:0", "1\n");
        add_disk(&root, "vbd-51712/block/xvda", "202:0", "1\n");
        assert!(!is_rotating(&root, libc::makedev(254, 0)));
        assert!(!is_rotating(&root, libc::makedev(202, 0)));
        fs::remove_dir_all(root).unwrap();
    }

    #[test]
    fn readers_of_one_rotating_disk_share_a_turn() {
        let root = sysfs("turns");
        add_disk(&root, "pci0/ata1/block/sda", "8:0", "1\n");
        let turns = Turns::new(&root);
        let turn = turns.of(libc::makedev(8, 0)).unwrap();
        assert!(Arc::ptr_eq(&turn, &turns.of(libc::makedev(8, 0)).unwrap()));
        assert!(turns.of(libc::makedev(9, 9)).is_none());
        fs::remove_dir_all(root).unwrap();
    }
}
