use flock_core::claim::Use;
use flock_core::pod::Readiness;

use super::*;

fn read(document: &str) -> Result<Reading, Refusal> {
    split(document)[0].read()
}

#[test]
fn an_address_pool_is_served() {
    let text = "apiVersion: flock.fritzlab.net/v1alpha1\nkind: AddressPool\nmetadata: {name: dns}\nspec:\n  cidrs: [2001:db8:53::/64]\n  use: Anycast\n  namespaceSelector: {}\n";
    let Reading { object, remarks } = read(text).unwrap();
    let Some(Object::AddressPool(pool)) = object else { panic!("{object:?}") };
    assert_eq!((pool.name.as_str(), pool.usage), ("dns", Use::Anycast));
    assert_eq!(remarks, []);
    let Refusal { line, reason } = read(&text.replace("/64", "/640")).unwrap_err();
    assert!(
        reason.starts_with("AddressPool dns: spec.cidrs[0]: \"2001:db8:53::/640\" is no prefix"),
        "{reason}"
    );
    assert_eq!(line, 5);
}

#[test]
fn a_pod_with_an_odd_status_is_read_and_remarked_upon() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nstatus:\n  conditions:\n  - type: Ready\n    status: true\n";
    let Reading { object, remarks } = read(text).unwrap();
    assert!(matches!(object, Some(Object::Pod(pod)) if pod.readiness == Readiness::NotReady));
    let [(7, remark)] = remarks.as_slice() else { panic!("{remarks:?}") };
    assert!(
        remark.starts_with("Pod default/web-0: status.conditions[0].status: \"true\" is not"),
        "{remark}"
    );
}

#[test]
fn a_pod_whose_status_is_no_status_is_refused_at_its_field() {
    let text =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nstatus: {conditions: [{type: [Ready]}]}\n";
    let refusal = read(text).unwrap_err();
    assert!(refusal.reason.starts_with("status.conditions[0].type"), "{}", refusal.reason);
    let refusal = read(&text.replace("[{type: [Ready]}]", "Ready")).unwrap_err();
    assert!(refusal.reason.starts_with("status.conditions: must be a list"), "{}", refusal.reason);
}
