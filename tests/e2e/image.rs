//! What the image consists of (`make image-root`), run as the kubelet would: in a root with nothing else in it, as
//! the image's user.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::Operator;
use testkit::scene::{LinkOptions, Scene};

use crate::{LIMIT, run, scene, settings};

/// The user of the image, as the Dockerfile names it.
const USER: &str = "65532";

/// The assembled root; `make test` makes it, and then it has to be there.
fn image_root() -> Option<PathBuf> {
    let Some(root) = std::env::var_os("IMAGE_ROOT").map(PathBuf::from) else {
        println!("skipped: no IMAGE_ROOT names the root of the image; make test builds it");
        return None;
    };
    assert!(root.join("signalr-private-link-operator").is_file(), "{} holds no operator", root.display());
    Some(root)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    fs::set_permissions(to, fs::Permissions::from_mode(0o644)).unwrap();
}

/// A program that runs the operator with this directory as its root, and gives its own arguments to it.
fn wrapper(directory: &Path, root: &Path) -> PathBuf {
    let (root, own) = (root.display(), directory.join("operator.sh"));
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0\n"));
    let enter = if is_root {
        format!("chroot --userspec={USER}:{USER} {root}")
    } else {
        format!("unshare --user --map-user={USER} --map-group={USER} --root={root} --wd=/")
    };
    fs::write(
        &own,
        format!("#!/bin/sh\nunset SSL_CERT_FILE SSL_CERT_DIR\nexec {enter} /signalr-private-link-operator \"$@\"\n"),
    )
    .unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o755)).unwrap();
    own
}

#[test]
fn the_image_serves_a_link_from_an_empty_root_as_its_own_user() {
    let Some(image) = image_root() else { return };
    run(async {
        let (scene, ns) = (scene().await, "in-the-image");
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let root = directory.path().join("root");
        for file in ["signalr-private-link-operator", "etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/group"] {
            copy(&image.join(file), &root.join(file));
        }
        let operator = root.join("signalr-private-link-operator");
        fs::set_permissions(&operator, fs::Permissions::from_mode(0o755)).unwrap();
        // What a kubelet and a chart put beside it.
        for file in ["etc/hosts", "etc/resolv.conf"] {
            copy(&Path::new("/").join(file), &root.join(file));
        }
        let settings = settings(scene, ns);
        copy(&settings.kubeconfig, &root.join("run/kubeconfig"));
        let environment = settings.environment.iter().map(|(name, value)| {
            if name != "AZURE_CA_FILE" {
                return (name.clone(), value.clone());
            }
            copy(Path::new(value), &root.join("run/azure.pem"));
            (name.clone(), "/run/azure.pem".to_owned())
        });
        let environment = environment.collect();
        let program = wrapper(directory.path(), &root);
        let settings = testkit::operator::Settings {
            binary: Box::leak(program.into_boxed_path()),
            kubeconfig: "/run/kubeconfig".into(),
            environment,
            ..settings
        };

        scene.namespace(ns).unwrap();
        scene.azure.add("in-the-image", "in-the-image-kv").await.unwrap();
        let manifest = Scene::manifest(ns, "kv-pe", "in-the-image", "in-the-image-kv", &LinkOptions::default());
        scene.cluster.apply(&manifest.to_string()).unwrap();
        let operator = Operator::start(&settings).unwrap();
        let served = scene.until_reason(ns, "kv-pe", "PendingApproval", LIMIT).await;
        assert!(served.is_ok(), "{served:?}; the operator's log: {}", operator.log());
        assert!(operator.terminate().unwrap().success());
    });
}
