//! What cannot be mended is said to whoever runs the driver.

use std::time::Instant;

use super::*;

#[test]
fn a_namespace_that_loses_its_link_is_a_failure_that_is_told() {
    let Some(lab) = Lab::new() else { return };
    let host = Arc::new(Host::default());
    let driver = Netns::new(lab.config(mixed()), host.clone()).unwrap();
    converge(&driver, &topology(2));
    let namespace = driver.namespaces().unwrap().swap_remove(0);
    within(namespace.as_fd(), || run("ip link del tap0"));
    let began = Instant::now();
    while host.failures.lock().unwrap().is_empty() {
        assert!(began.elapsed() < PATIENCE, "nobody was told");
        std::thread::yield_now();
    }
    assert_eq!(*host.failures.lock().unwrap(), ["the link to a namespace is gone"]);
}
